/**
 * The graph of a group, from datasets on the left to APIs on the right.
 *
 * Rules:
 * - What keeps the gate shut is drawn on the node or the edge that does: dashed, in another colour, and with a word.
 * - Whatever can be done with the mouse can be done by keyboard: nodes and edges take the focus, and the whole graph is
 *   there as a table, too.
 */

import { Box } from "@chakra-ui/react";
import { Background, Controls, type Edge, MarkerType, MiniMap, ReactFlow, type ReactFlowInstance } from "@xyflow/react";
import styles from "@xyflow/react/dist/style.css?inline";
import { useEffect, useMemo, useRef, useState } from "react";
import type { GraphEdge, GraphNode } from "../api/types";
import { useDark } from "../parts/dark";
import { Loading, Problem } from "../parts/State";
import { words } from "../words";
import { heightOf, type Places, usePlaces, WIDTH } from "./layout";
import { type Drawn, NodeBox } from "./Node";
import { tiedTo } from "./reach";
import { rowsOf, type View } from "./views";

const nodeTypes = { lockstep: NodeBox };
const FIT = { maxZoom: 1, padding: 0.1 };
const ground = { background: "transparent" }; // the page's own
const MANY = 40; // nodes, from which on all of them together would be too small to read
const HEIGHT = 480; // px
const READABLE = 0.7; // zoom

export function Graph({
  nodes,
  edges,
  views,
  selected,
  onSelect,
}: {
  nodes: GraphNode[];
  edges: GraphEdge[];
  views: View[];
  selected: string | null;
  onSelect: (name: string | null) => void;
}) {
  const isDark = useDark();
  const rows = Math.max(1, ...nodes.map((node) => rowsOf(node, views).length));
  const { places, problem } = usePlaces({ nodes, edges }, rows);
  const [flow, setFlow] = useState<ReactFlowInstance<Drawn, Edge> | null>(null);
  const tied = useMemo(() => (selected ? tiedTo(selected, edges) : null), [selected, edges]);
  const drawn = useMemo(
    () =>
      nodes.map(
        (node): Drawn => ({
          id: node.name,
          type: "lockstep",
          position: places?.get(node.name) ?? { x: 0, y: 0 },
          width: WIDTH,
          height: heightOf(rows),
          data: { node, views, rows, isFaint: tied !== null && !tied.has(node.name) },
          selected: node.name === selected,
          ariaLabel: labelOf(node),
        }),
      ),
    [nodes, places, rows, views, tied, selected],
  );
  const lines = useMemo(() => edges.map((edge) => lineOf(edge, tied, places)), [edges, tied, places]);

  const node = selected ? places?.get(selected) : undefined;
  const count = nodes.length;
  useEffect(() => {
    // a node that was chosen elsewhere, as in the list of what blocks, comes into sight
    if (flow && node && count > MANY) flow.setCenter(node.x + WIDTH / 2, node.y, { duration: 300, zoom: 1 });
  }, [flow, node, count]);

  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    // a panel that opens beside it leaves less room: all of a small graph stays in sight
    if (!flow || !box.current || count > MANY) return;
    const observer = new ResizeObserver(() => void flow.fitView(FIT));
    observer.observe(box.current);
    return () => observer.disconnect();
  }, [flow, count]);

  if (problem) return <Problem>{words.group.noLayout(problem)}</Problem>;
  if (!places) return <Loading lines={6} />;
  return (
    <Box
      aria-label={words.group.graph}
      borderRadius="md"
      borderWidth={1}
      height={`${HEIGHT}px`}
      ref={box}
      role="region"
    >
      <style>{styles}</style>
      <ReactFlow
        colorMode={isDark ? "dark" : "light"}
        deleteKeyCode={null}
        edges={lines}
        edgesFocusable
        {...(count > MANY ? { defaultViewport: startOf(nodes, rows, places) } : { fitView: true, fitViewOptions: FIT })}
        minZoom={0.05}
        multiSelectionKeyCode={null}
        nodes={drawn}
        nodesConnectable={false}
        nodesDraggable={false}
        nodesFocusable
        nodeTypes={nodeTypes}
        onInit={setFlow}
        onNodeClick={(_, { id }) => onSelect(id === selected ? null : id)}
        onPaneClick={() => onSelect(null)}
        onSelectionChange={({ nodes: chosen }) => {
          const name = chosen[0]?.id;
          if (name && name !== selected) onSelect(name); // by keyboard
        }}
        onlyRenderVisibleElements={count > MANY}
        preventScrolling={false}
        proOptions={{ hideAttribution: true }}
        style={ground}
        zoomOnScroll={false}
      >
        <Background gap={24} />
        <Controls showInteractive={false} />
        {count > MANY && <MiniMap ariaLabel={words.group.map} pannable zoomable />}
      </ReactFlow>
    </Box>
  );
}

/** Where a large graph is opened: at what keeps the gate shut, or where it begins. A small map shows the rest. */
function startOf(nodes: GraphNode[], rows: number, places: Places) {
  const first = nodes.find(({ kind, blocks }) => kind !== "api" && blocks.length > 0) ?? nodes[0];
  const y = places.get(first?.name ?? "")?.y ?? 0;
  return { x: 16, y: HEIGHT / 2 - (y + heightOf(rows) / 2) * READABLE, zoom: READABLE };
}

function labelOf(node: GraphNode): string {
  const version = node.staging?.ref ?? node.production?.ref ?? node.candidate?.ref ?? words.group.noVersion;
  return [`${words.kind[node.kind]} ${node.name}`, version, ...node.blocks].join(", ");
}

function lineOf(edge: GraphEdge, tied: Set<string> | null, places: Places | undefined): Edge {
  const isBlocked = edge.blocks.length > 0;
  const isFaint = tied !== null && !(tied.has(edge.from) && tied.has(edge.to));
  const colour = `var(--chakra-colors-${isBlocked ? "orange-solid" : "border-emphasized"})`;
  return {
    id: `${edge.kind}:${edge.from}→${edge.to}`,
    ...endsOf(edge, places),
    ariaLabel: [words.group.edge[edge.kind](edge.from, edge.to), ...edge.blocks].join(": "),
    animated: isBlocked,
    ...(edge.kind !== "agrees" && { markerEnd: { type: MarkerType.ArrowClosed, color: colour } }),
    style: {
      stroke: colour,
      strokeWidth: isBlocked ? 2.5 : 1.5,
      opacity: isFaint ? 0.25 : 1,
      ...(edge.kind === "agrees" && { strokeDasharray: "2 4" }),
    },
    ...(isBlocked && {
      label: `⚠ ${words.group.blocked}`,
      labelBgStyle: { fill: "var(--chakra-colors-bg-panel)" },
      labelStyle: { fill: "var(--chakra-colors-orange-fg)", fontSize: 11, fontWeight: 600 },
    }),
  };
}

/** From left to right; what should agree stands in one column, and is tied from the upper to the lower. */
function endsOf({ kind, from, to }: GraphEdge, places: Places | undefined) {
  if (kind !== "agrees") return { source: from, target: to, sourceHandle: "right", targetHandle: "left" };
  const isAbove = (places?.get(from)?.y ?? 0) <= (places?.get(to)?.y ?? 0);
  return { source: isAbove ? from : to, target: isAbove ? to : from, sourceHandle: "below", targetHandle: "above" };
}
