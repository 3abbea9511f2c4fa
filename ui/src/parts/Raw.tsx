/** A file of JSON as it is, to read and to copy. */

import { Box, Button } from "@chakra-ui/react";
import { useState } from "react";
import { words } from "../words";

export function Raw({ value }: { value: unknown }) {
  const [copied, setCopied] = useState(false);
  const text = JSON.stringify(value, null, 2);
  return (
    <Box position="relative">
      <Button
        aria-live="polite"
        onClick={() => void navigator.clipboard?.writeText(text).then(() => setCopied(true))}
        position="absolute"
        right={4}
        size="2xs"
        top={2}
        variant="outline"
      >
        {copied ? words.version.copied : words.version.copy}
      </Button>
      <Box
        aria-label={words.version.manifest}
        as="pre"
        bg="bg.subtle"
        fontSize="xs"
        maxHeight="30rem"
        overflow="auto"
        p={3}
        role="group"
        tabIndex={0}
      >
        {text}
      </Box>
    </Box>
  );
}
