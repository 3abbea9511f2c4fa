/** What is known of one node: its versions, what stands in the way, and what hangs on it. */

import { Box, CloseButton, Flex, Heading, Stack, Text } from "@chakra-ui/react";
import type { ReactNode } from "react";
import { type Actor, Promote } from "../actions";
import type { GraphNode, GroupPage, NodeVersion } from "../api/types";
import { to } from "../parts/address";
import { KindIcon } from "../parts/KindIcon";
import { To, VersionLink, When } from "../parts/small";
import { count, figure, words } from "../words";
import { VIEWS, type View } from "./views";

const said = words.group.node;

export function SidePanel({
  group,
  node,
  onSelect,
}: {
  group: Actor & Pick<GroupPage, "name">;
  node: GraphNode;
  onSelect: (name: string | null) => void;
}) {
  const wrong = [...(node.deprecated ? [node.deprecated] : []), ...node.blocks, ...node.stale];
  return (
    <Box
      aria-label={node.name}
      as="aside"
      borderRadius="md"
      borderWidth={1}
      maxHeight={{ lg: "30rem" }}
      overflowY="auto"
      p={3}
      width={{ base: "100%", lg: "22rem" }}
      flexShrink={0}
    >
      <Flex align="center" gap={2}>
        <KindIcon kind={node.kind} />
        <Heading as="h3" size="sm">
          {node.name}
        </Heading>
        <Text color="fg.muted" fontSize="sm">
          {words.kind[node.kind]}
        </Text>
        <CloseButton aria-label={said.close} ml="auto" onClick={() => onSelect(null)} size="xs" />
      </Flex>
      <Text color="fg.muted" fontSize="sm">
        {node.description}
      </Text>
      <Part title={said.state}>
        {wrong.length === 0 && <Text fontSize="sm">{said.fits}</Text>}
        {wrong.map((one) => (
          <Text fontSize="sm" key={one}>
            {one}
          </Text>
        ))}
        {node.deprecated_after && <Text fontSize="sm">{said.deprecatedAfter(node.deprecated_after)}</Text>}
        {node.only_for && <Text fontSize="sm">{words.group.onlyFor(node.only_for.join(", "))}</Text>}
        {!node.shared && <Text fontSize="sm">{said.unshared}</Text>}
      </Part>
      {node.kind !== "api" && (
        <Part title={said.versions}>
          {VIEWS.map((view) => (
            <VersionLine group={group.name} key={view} node={node} version={node[view]} view={view} />
          ))}
          <To to={node.kind === "dataset" ? to.data(group.name) : to.versions(group.name, node.name)}>
            {said.all(node.versions)}
          </To>
          {node.kind === "model" && node.candidate && (
            <Box mt={2}>
              <Promote group={group} key={node.candidate.ref} refs={[node.candidate.ref]} />
            </Box>
          )}
        </Part>
      )}
      <Part title={`${said.consumers} (${count(node.consumers.length)})`}>
        {node.consumers.length === 0 && <Text fontSize="sm">{said.noConsumers}</Text>}
        <Flex flexWrap="wrap" gap={2}>
          {node.consumers.map((name) => (
            <Box asChild color="fg.info" fontSize="sm" key={name} textDecoration="underline">
              <button aria-label={said.select(name)} onClick={() => onSelect(name)} type="button">
                {name}
              </button>
            </Box>
          ))}
        </Flex>
      </Part>
    </Box>
  );
}

function Part({ title, children }: { title: string; children: ReactNode }) {
  return (
    <Box mt={3}>
      <Heading as="h4" color="fg.muted" mb={1} size="xs">
        {title}
      </Heading>
      <Stack gap={1}>{children}</Stack>
    </Box>
  );
}

function VersionLine({
  group,
  node,
  version,
  view,
}: {
  group: string;
  node: GraphNode;
  version: NodeVersion | null;
  view: View;
}) {
  const first = Object.entries(version?.figures ?? {})[0];
  return (
    <Flex fontSize="sm" gap={2} wrap="wrap">
      <Text color="fg.muted" minWidth="5.5rem">
        {words.group.usedBy[view]}
      </Text>
      {version ? (
        <>
          {node.kind === "dataset" ? (
            <To to={to.snapshot(group, version.ref)}>{version.ref}</To>
          ) : (
            <VersionLink group={group} version={version.ref} />
          )}
          <Text color="fg.muted">
            {first && `${first[0]} ${figure(first[1])}, `}
            <When at={version.at} />
          </Text>
        </>
      ) : (
        <Text color="fg.muted">{said.none}</Text>
      )}
    </Flex>
  );
}
