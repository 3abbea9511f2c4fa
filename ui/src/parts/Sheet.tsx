/** A table that scrolls within itself, below a head that stays. */

import { Box, Table } from "@chakra-ui/react";
import type { ReactNode } from "react";

export interface Column {
  head: ReactNode;
  key: string;
  end?: boolean;
}

export function Sheet({
  label,
  columns,
  children,
  height = "28rem",
}: {
  label: string;
  columns: Column[];
  children: ReactNode;
  height?: string;
}) {
  return (
    <Box aria-label={label} maxHeight={height} overflow="auto" role="group" tabIndex={0}>
      <Table.Root css={{ "& td, & th": { paddingBlock: 1.5 } }} size="sm" stickyHeader>
        <Table.Header>
          <Table.Row>
            {columns.map(({ key, head, end }) => (
              <Table.ColumnHeader key={key} textAlign={end ? "end" : "start"} whiteSpace="nowrap">
                {head}
              </Table.ColumnHeader>
            ))}
          </Table.Row>
        </Table.Header>
        <Table.Body>{children}</Table.Body>
      </Table.Root>
    </Box>
  );
}
