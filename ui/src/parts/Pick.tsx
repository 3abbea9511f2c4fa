/** One of a few, as buttons beside one another. */

import { Button, Flex } from "@chakra-ui/react";

interface Props<T extends string> {
  label: string;
  options: [value: T, text: string][];
  picked: T;
  onPick: (value: T) => void;
}

export function Pick<T extends string>({ label, options, picked, onPick }: Props<T>) {
  return (
    <Flex aria-label={label} flexWrap="wrap" gap={1} role="group">
      {options.map(([value, text]) => (
        <Button
          aria-pressed={value === picked}
          key={value}
          onClick={() => onPick(value)}
          size="xs"
          variant={value === picked ? "solid" : "outline"}
        >
          {text}
        </Button>
      ))}
    </Flex>
  );
}
