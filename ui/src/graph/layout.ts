/**
 * Where the nodes stand: columns from datasets on the left to APIs on the right, by ELK's layered layout.
 *
 * It is reckoned in a worker, so that the page does not stand still, and only anew where the structure is another one: a
 * version that arrives moves nothing.
 */

import ELK, { type ElkNode } from "elkjs/lib/elk-api.js";
import { useEffect, useState } from "react";
import type { GraphEdge, GraphNode, Kind } from "../api/types";
import { root } from "../live/api";

export const WIDTH = 232;
const HEAD = 50; // px, without rows
const ROW = 26;
const GAP = 84; // px between two columns
const LARGE = 60; // nodes, from which on straight lines give way to a quick answer

export type Places = ReadonlyMap<string, { x: number; y: number }>;

export const heightOf = (rows: number): number => HEAD + ROW * rows;

type Structure = { nodes: Pick<GraphNode, "name" | "kind">[]; edges: Pick<GraphEdge, "from" | "to" | "kind">[] };

/**
 * What ELK is asked. Agreements between APIs are drawn, but put nobody behind another.
 *
 * The columns are given (x, which stays), and ELK finds the order within them and the heights. Its own partitions would put an edge
 * between any two nodes of neighbouring columns, which takes seconds for some hundred nodes.
 */
export function asElk(structure: Structure, rows: number): ElkNode {
  const column = columnsOf(structure);
  const isLarge = structure.nodes.length > LARGE;
  return {
    id: "group",
    layoutOptions: {
      "elk.algorithm": "layered",
      "elk.direction": "RIGHT",
      "elk.layered.layering.strategy": "INTERACTIVE",
      "elk.spacing.nodeNode": "24",
      "elk.layered.nodePlacement.strategy": isLarge ? "BRANDES_KOEPF" : "NETWORK_SIMPLEX",
      "elk.layered.thoroughness": isLarge ? "3" : "7",
      "elk.layered.considerModelOrder.strategy": "NODES_AND_EDGES",
    },
    children: structure.nodes.map(({ name }) => ({
      id: name,
      width: WIDTH,
      height: heightOf(rows),
      x: column.get(name) ?? 0,
      y: 0,
      // where lines come and go: ELK keeps their way clear of other nodes
      layoutOptions: { "elk.portConstraints": "FIXED_POS" },
      ports: [
        { id: `→${name}`, x: 0, y: heightOf(rows) / 2 },
        { id: `${name}→`, x: WIDTH, y: heightOf(rows) / 2 },
      ],
    })),
    edges: structure.edges
      .filter(({ kind }) => kind !== "agrees")
      .map(({ from, to }) => ({ id: `${from}→${to}`, sources: [`${from}→`], targets: [`→${to}`] })),
  };
}

/** Where the columns stand (px): datasets, models, each behind those that it builds on, thresholds, APIs. */
function columnsOf({ nodes, edges }: Structure): Map<string, number> {
  const below = new Map<string, string[]>();
  for (const { from, to, kind } of edges) if (kind === "builds_on") below.set(to, [...(below.get(to) ?? []), from]);
  const known = new Map<string, number>();
  const depth = (name: string): number => {
    const found = known.get(name) ?? 1 + Math.max(0, ...(below.get(name) ?? []).map(depth));
    known.set(name, found);
    return found;
  };
  const models = nodes.filter(({ kind }) => kind === "model").map(({ name }) => depth(name));
  const last = Math.max(1, ...models);
  const column: Record<Kind, (name: string) => number> = {
    dataset: () => 0,
    model: depth,
    threshold: () => last + 1,
    api: () => last + 2,
  };
  return new Map(nodes.map(({ name, kind }) => [name, column[kind](name) * (WIDTH + GAP)]));
}

/** Equal for graphs that are laid out alike. */
export function keyOf({ nodes, edges }: Structure, rows: number): string {
  return JSON.stringify([rows, nodes.map(({ name, kind }) => [name, kind]), edges.map(({ from, to }) => [from, to])]);
}

const reckoned = new Map<string, Promise<Places>>();
let elk: InstanceType<typeof ELK> | undefined;

function layOut(structure: Structure, rows: number): Promise<Places> {
  const key = keyOf(structure, rows);
  let places = reckoned.get(key);
  if (!places) {
    elk ??= new ELK({ workerFactory: () => new Worker(`${root}lockstep/ui/elk-worker.js`) });
    const asked = asElk(structure, rows);
    places = elk.layout(structuredClone(asked)).then((found) => placesOf(asked, found));
    reckoned.set(key, places);
    places.catch(() => reckoned.delete(key)); // asked again when somebody looks again
  }
  return places;
}

/** Across as it was asked, down as ELK found it: between columns it leaves room for lines that are drawn otherwise here. */
function placesOf({ children: asked = [] }: ElkNode, { children: found = [] }: ElkNode): Places {
  const down = new Map(found.map(({ id, y = 0 }) => [id, y]));
  return new Map(asked.map(({ id, x = 0 }) => [id, { x, y: down.get(id) ?? 0 }]));
}

/** The places of the nodes; undefined until they are known. */
export function usePlaces(structure: Structure, rows: number): { places: Places | undefined; problem: string | null } {
  const key = keyOf(structure, rows);
  const [found, setFound] = useState<{ places?: Places; problem: string | null }>({ problem: null });
  // biome-ignore lint/correctness/useExhaustiveDependencies: the key says all that counts of the structure
  useEffect(() => {
    let isCurrent = true;
    layOut(structure, rows).then(
      (places) => isCurrent && setFound({ places, problem: null }),
      (error) => isCurrent && setFound({ problem: String(error) }),
    );
    return () => {
      isCurrent = false;
    };
  }, [key]);
  return { places: found.places, problem: found.problem };
}
