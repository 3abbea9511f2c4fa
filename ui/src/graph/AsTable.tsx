/** The graph as a table: the same nodes and what they are made of, for whoever rather reads. */

import { Box, Table } from "@chakra-ui/react";
import type { GraphEdge, GraphNode } from "../api/types";
import { words } from "../words";
import { VIEWS } from "./views";

export function AsTable({
  nodes,
  edges,
  onSelect,
}: {
  nodes: GraphNode[];
  edges: GraphEdge[];
  onSelect: (name: string) => void;
}) {
  return (
    <Box
      aria-label={words.group.asTable}
      borderRadius="md"
      borderWidth={1}
      height="30rem"
      overflow="auto"
      role="region"
      tabIndex={0}
    >
      <Table.Root size="sm" stickyHeader>
        <Table.Header>
          <Table.Row>
            <Table.ColumnHeader>{words.group.graph}</Table.ColumnHeader>
            {VIEWS.map((view) => (
              <Table.ColumnHeader key={view}>{words.group.usedBy[view]}</Table.ColumnHeader>
            ))}
            <Table.ColumnHeader>{words.group.node.state}</Table.ColumnHeader>
          </Table.Row>
        </Table.Header>
        <Table.Body>
          {nodes.map((node) => (
            <Table.Row key={node.name} verticalAlign="top">
              <Table.Cell>
                <Box asChild color="fg.info" textDecoration="underline">
                  <button
                    aria-label={words.group.node.select(node.name)}
                    onClick={() => onSelect(node.name)}
                    type="button"
                  >
                    {node.name}
                  </button>
                </Box>{" "}
                <Box as="span" color="fg.muted">
                  {words.kind[node.kind]}
                </Box>
                {edges
                  .filter(({ to }) => to === node.name)
                  .map(({ from, kind }) => (
                    <Box color="fg.muted" fontSize="xs" key={`${kind}${from}`}>
                      {words.group.edge[kind](from, node.name)}
                    </Box>
                  ))}
              </Table.Cell>
              {VIEWS.map((view) => (
                <Table.Cell key={view}>{node[view]?.ref ?? "–"}</Table.Cell>
              ))}
              <Table.Cell>
                {[...node.blocks, ...node.stale, ...(node.deprecated ? [node.deprecated] : [])].map((one) => (
                  <Box key={one}>{one}</Box>
                ))}
              </Table.Cell>
            </Table.Row>
          ))}
        </Table.Body>
      </Table.Root>
    </Box>
  );
}
