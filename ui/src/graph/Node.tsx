/** One node of the graph: its kind, its name, a row for each view, and whatever is wrong with it. */

import { Badge, Box, Flex, Text } from "@chakra-ui/react";
import { type Node as FlowNode, Handle, type NodeProps, Position } from "@xyflow/react";
import { memo } from "react";
import type { GraphNode } from "../api/types";
import { KindIcon } from "../parts/KindIcon";
import { StageBadge } from "../parts/small";
import { figure, words } from "../words";
import { heightOf, WIDTH } from "./layout";
import { differs, type Row, rowsOf, type View } from "./views";

export type Drawn = FlowNode<{ node: GraphNode; views: View[]; rows: number; isFaint: boolean }, "lockstep">;

export const NodeBox = memo(function NodeBox({ data, selected }: NodeProps<Drawn>) {
  const { node, views, rows, isFaint } = data;
  const isBlocked = node.blocks.length > 0;
  const isMember = node.kind !== "api"; // an API keeps nobody up: it waits for members that do
  const border = isBlocked && isMember ? "orange.solid" : selected ? "blue.solid" : "border.emphasized";
  return (
    <Box
      bg="bg.panel"
      borderColor={border}
      borderRadius="md"
      borderStyle={isBlocked && isMember ? "dashed" : "solid"}
      borderWidth={(isBlocked && isMember) || selected ? 2 : 1}
      cursor="pointer"
      height={`${heightOf(rows)}px`}
      opacity={isFaint ? 0.35 : 1}
      outline={selected ? "2px solid" : undefined}
      outlineColor="blue.solid"
      overflow="hidden"
      px={2}
      py={1}
      width={`${WIDTH}px`}
    >
      <Handle id="left" isConnectable={false} position={Position.Left} style={hidden} type="target" />
      <Handle id="below" isConnectable={false} position={Position.Bottom} style={hidden} type="source" />
      <Handle id="above" isConnectable={false} position={Position.Top} style={hidden} type="target" />
      <Flex align="center" gap={2} minWidth={0}>
        <KindIcon kind={node.kind} />
        <Text
          fontWeight="semibold"
          textDecoration={node.deprecated ? "line-through" : undefined}
          title={node.name}
          truncate
        >
          {node.name}
        </Text>
        <Box flex={1} />
        {isBlocked && (
          <Mark
            colour={isMember ? "orange" : "gray"}
            says={node.blocks.join("\n")}
            text={isMember ? words.group.blocked : words.group.waits}
          />
        )}
        {node.deprecated && <Mark colour="red" says={node.deprecated} text={words.group.deprecated} />}
        {!isBlocked && node.stale.length > 0 && <Mark says={node.stale.join("\n")} text={words.group.stale} />}
        {node.only_for && <Mark says={words.group.onlyFor(node.only_for.join(", "))} text={words.group.exclusive} />}
      </Flex>
      <Text color="fg.muted" fontSize="xs" lineHeight="1.3" title={node.description} truncate>
        {node.description}
      </Text>
      {node.kind !== "api" && <Rows isApart={differs(node, views)} rows={rowsOf(node, views)} />}
      <Handle id="right" isConnectable={false} position={Position.Right} style={hidden} type="source" />
    </Box>
  );
});

const hidden = { opacity: 0, pointerEvents: "none" } as const;

function Mark({ text, says, colour = "gray" }: { text: string; says: string; colour?: string }) {
  return (
    <Badge colorPalette={colour} flexShrink={0} size="xs" title={says}>
      {text}
    </Badge>
  );
}

function Rows({ rows, isApart }: { rows: Row[]; isApart: boolean }) {
  if (rows.length === 0) {
    return (
      <Text color="fg.muted" fontSize="xs" mt={1}>
        {words.group.noVersion}
      </Text>
    );
  }
  return rows.map(({ version, views }) => {
    const first = Object.entries(version.figures)[0];
    return (
      <Flex align="center" fontSize="xs" gap={1} key={version.digest} mt={1} whiteSpace="nowrap">
        <Text fontWeight={isApart ? "bold" : undefined} title={version.ref} truncate>
          @{version.ref.split("@")[1]}
        </Text>
        {version.stage
          ? views.map((view) => <StageBadge key={view} stage={view} />)
          : views.map((view) => (
              <Badge key={view} size="xs" variant="outline">
                {words.group.usedBy[view]}
              </Badge>
            ))}
        <Text color="fg.muted" ml="auto" title={first?.[0]} truncate>
          {first && figure(first[1])}
        </Text>
      </Flex>
    );
  });
}
