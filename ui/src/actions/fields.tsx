/** The fields of the dialogs. */

import { Checkbox, Field, Fieldset, Input, NativeSelect, Stack, Textarea } from "@chakra-ui/react";
import { words } from "../words";

interface Entered<T> {
  value: T;
  onChange: (value: T) => void;
}

export function Why({ value, onChange, required = false }: Entered<string> & { required?: boolean }) {
  return (
    <Field.Root mt={4} required={required}>
      <Field.Label>
        {words.actions.why}
        <Field.RequiredIndicator />
      </Field.Label>
      <Textarea maxLength={2000} onChange={(event) => onChange(event.target.value)} rows={2} value={value} />
      <Field.HelperText>{required ? words.actions.whyNeeded : words.actions.whyKept}</Field.HelperText>
    </Field.Root>
  );
}

export function Line({ label, help, value, onChange }: Entered<string> & { label: string; help: string }) {
  return (
    <Field.Root mt={4}>
      <Field.Label>{label}</Field.Label>
      <Input onChange={(event) => onChange(event.target.value)} size="sm" value={value} />
      <Field.HelperText>{help}</Field.HelperText>
    </Field.Root>
  );
}

export function Json({
  label,
  help,
  value,
  problem,
  onChange,
}: Entered<string> & { label: string; help: string; problem: string | null }) {
  return (
    <Field.Root invalid={problem !== null} mt={4}>
      <Field.Label>{label}</Field.Label>
      <Textarea
        fontFamily="mono"
        fontSize="sm"
        onChange={(event) => onChange(event.target.value)}
        rows={3}
        spellCheck={false}
        value={value}
      />
      <Field.HelperText>{help}</Field.HelperText>
      {problem && <Field.ErrorText>{problem}</Field.ErrorText>}
    </Field.Root>
  );
}

export function Tick({ label, value, onChange }: Entered<boolean> & { label: string }) {
  return (
    <Checkbox.Root
      checked={value}
      display="flex"
      mt={3}
      onCheckedChange={({ checked }) => onChange(checked === true)}
      size="sm"
    >
      <Checkbox.HiddenInput />
      <Checkbox.Control />
      <Checkbox.Label>{label}</Checkbox.Label>
    </Checkbox.Root>
  );
}

/** Several out of a list; each says more about itself, if it wants. */
export function Some({
  label,
  options,
  value,
  onChange,
}: Entered<string[]> & { label: string; options: { name: string; says?: string }[] }) {
  return (
    <Fieldset.Root>
      <Fieldset.Legend>{label}</Fieldset.Legend>
      <Stack gap={1} maxHeight="16rem" overflowY="auto" p={1}>
        {options.map(({ name, says }) => (
          <Tick
            key={name}
            label={says ? `${name} (${says})` : name}
            onChange={(on) => onChange(on ? [...value, name] : value.filter((one) => one !== name))}
            value={value.includes(name)}
          />
        ))}
      </Stack>
    </Fieldset.Root>
  );
}

export function One({
  label,
  options,
  value,
  onChange,
}: Entered<string> & { label: string; options: { name: string; says: string }[] }) {
  return (
    <Field.Root>
      <Field.Label>{label}</Field.Label>
      <NativeSelect.Root size="sm">
        <NativeSelect.Field onChange={(event) => onChange(event.target.value)} value={value}>
          {options.map(({ name, says }) => (
            <option key={name} value={name}>
              {says}
            </option>
          ))}
        </NativeSelect.Field>
        <NativeSelect.Indicator />
      </NativeSelect.Root>
    </Field.Root>
  );
}
