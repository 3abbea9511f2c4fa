/** Something long that is shown on demand. */

import { Box } from "@chakra-ui/react";
import { type ReactNode, useState } from "react";

export function Fold({ title, children }: { title: string; children: () => ReactNode }) {
  const [open, setOpen] = useState(false);
  return (
    <Box asChild minWidth={0}>
      <details onToggle={(event) => setOpen(event.currentTarget.open)}>
        <Box as="summary" color="fg.info" cursor="pointer" fontSize="sm" py={1}>
          {title}
        </Box>
        {open && children()}
      </details>
    </Box>
  );
}
