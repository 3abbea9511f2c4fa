/**
 * A button that asks before it does something, says whether it went well, and why it can't be pressed.
 *
 * Rules:
 * - A button that may not be pressed stays reachable by keyboard, and tells its reason to everybody: as a tooltip, and as
 *   its description.
 * - The dialog stays open, with what was entered, while something is wrong.
 */

import {
  Alert,
  Box,
  Button,
  type ButtonProps,
  CloseButton,
  Dialog,
  Portal,
  Text,
  VisuallyHidden,
} from "@chakra-ui/react";
import { type FormEvent, type ReactNode, useId, useState } from "react";
import { ApiError } from "../live/api";
import { to } from "../parts/address";
import { To } from "../parts/small";
import { words } from "../words";
import type { Started } from "./airflow";

export interface Action {
  /** On the button, and on the one that confirms. */
  name: string;
  title: string;
  text: string;
  /** Why it can't be done; empty if it can. */
  reason: string;
  /** What is asked for. */
  children?: ReactNode;
  /** Something is missing or wrong: it can't be sent yet. */
  problem?: string | null;
  run: () => Promise<Started | string>;
  onOpen?: () => void;
  onClose?: () => void;
  colorPalette?: ButtonProps["colorPalette"];
  variant?: ButtonProps["variant"];
  size?: ButtonProps["size"];
}

export function ActionButton(props: Action) {
  const { name, reason, colorPalette, variant = "outline", size = "sm" } = props;
  const [isOpen, setOpen] = useState(false);
  const id = useId();
  const may = reason === "";
  return (
    <>
      <Button
        aria-describedby={may ? undefined : id}
        aria-disabled={!may}
        cursor={may ? "pointer" : "not-allowed"}
        onClick={() => {
          if (!may) return;
          setOpen(true);
          props.onOpen?.();
        }}
        size={size}
        title={may ? undefined : reason}
        variant={may ? variant : "ghost"}
        {...(colorPalette && may && { colorPalette })}
      >
        {name}
      </Button>
      {!may && <VisuallyHidden id={id}>{reason}</VisuallyHidden>}
      {isOpen && (
        <Ask
          {...props}
          close={() => {
            setOpen(false);
            props.onClose?.();
          }}
        />
      )}
    </>
  );
}

type Stand =
  | { is: "asking" }
  | { is: "sending" }
  | { is: "failed"; says: string }
  | { is: "done"; what: Started | string };

function Ask({
  name,
  title,
  text,
  children,
  problem,
  run,
  close,
  colorPalette = "blue",
}: Action & { close: () => void }) {
  const [stand, setStand] = useState<Stand>({ is: "asking" });
  const [wasSent, setWasSent] = useState(false);
  async function send(event: FormEvent) {
    event.preventDefault();
    setWasSent(true);
    if (problem) return;
    setStand({ is: "sending" });
    try {
      setStand({ is: "done", what: await run() });
    } catch (error) {
      const isAway = !(error instanceof ApiError) || error.status === 0;
      setStand({ is: "failed", says: isAway ? words.problem.server : error.message });
    }
  }
  return (
    <Dialog.Root onOpenChange={({ open }) => !open && close()} open placement="center" scrollBehavior="inside">
      <Portal>
        <Dialog.Backdrop />
        <Dialog.Positioner>
          <Dialog.Content asChild data-lockstep="">
            <form noValidate onSubmit={send}>
              <Dialog.Header>
                <Dialog.Title>{title}</Dialog.Title>
              </Dialog.Header>
              <Dialog.Body>
                {stand.is === "done" ? (
                  <Done what={stand.what} />
                ) : (
                  <>
                    <Text color="fg.muted" mb={4}>
                      {text}
                    </Text>
                    {children}
                    {wasSent && problem && <Wrong>{problem}</Wrong>}
                    {stand.is === "failed" && <Wrong title={words.actions.failed}>{stand.says}</Wrong>}
                  </>
                )}
              </Dialog.Body>
              <Dialog.Footer>
                <Button onClick={close} type="button" variant="outline">
                  {stand.is === "done" ? words.app.close : words.app.cancel}
                </Button>
                {stand.is !== "done" && (
                  <Button colorPalette={colorPalette} loading={stand.is === "sending"} type="submit">
                    {name}
                  </Button>
                )}
              </Dialog.Footer>
              <Dialog.CloseTrigger asChild>
                <CloseButton aria-label={words.app.close} size="sm" type="button" />
              </Dialog.CloseTrigger>
            </form>
          </Dialog.Content>
        </Dialog.Positioner>
      </Portal>
    </Dialog.Root>
  );
}

function Wrong({ title, children }: { title?: string; children: ReactNode }) {
  return (
    <Alert.Root mt={4} role="alert" status="error">
      <Alert.Indicator />
      <Alert.Content>
        {title && <Alert.Title>{title}</Alert.Title>}
        <Alert.Description>{children}</Alert.Description>
      </Alert.Content>
    </Alert.Root>
  );
}

function Done({ what }: { what: Started | string }) {
  return (
    <Alert.Root role="status" status="success">
      <Alert.Indicator />
      <Alert.Content>
        {typeof what === "string" ? (
          what
        ) : (
          <Box>
            {words.actions.started(what.dag_id)}{" "}
            <To to={to.run(what.dag_id, what.dag_run_id)}>{words.actions.seeRun}</To>
          </Box>
        )}
      </Alert.Content>
    </Alert.Root>
  );
}
