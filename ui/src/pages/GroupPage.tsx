/** One release group: the graph, what keeps its gate shut, and what may be done. */

import { Box, Button, Flex, Heading, Input, Stack, Text } from "@chakra-ui/react";
import { type ReactNode, useMemo, useState } from "react";
import { Link as RouterLink, useLocation, useParams } from "react-router-dom";
import { Answers, HoldOrResume, Promote, ReleaseNow, Retrain, Rollback } from "../actions";
import type { GroupPage as Answer, GraphNode, Waiting } from "../api/types";
import { AsTable } from "../graph/AsTable";
import { Graph } from "../graph/Graph";
import { SidePanel } from "../graph/SidePanel";
import { VIEWS, type View } from "../graph/views";
import { useLive } from "../live/live";
import { to } from "../parts/address";
import { Notice, Problem, Shown } from "../parts/State";
import { Digest, GateBadge, SaidLine, To } from "../parts/small";
import { words } from "../words";

const said = words.group;

export function GroupPage({ group: given }: { group?: string }) {
  const { group = given } = useParams();
  const seen = useLive<Answer>(group ? `groups/${encodeURIComponent(group)}` : null);
  return <Shown seen={seen}>{(page) => <Page page={page} />}</Shown>;
}

function Page({ page }: { page: Answer }) {
  const [views, setViews] = useState<View[]>([...VIEWS]);
  const [selected, setSelected] = useState<string | null>(null);
  const [isTable, setTable] = useState(false);
  const node = page.nodes.find(({ name }) => name === selected);
  return (
    <Stack gap={4}>
      <Head page={page} />
      {page.problem && <Problem>{page.problem}</Problem>}
      {page.hold && (
        <Notice status="warning" title={said.onHold}>
          <SaidLine onColour said={page.hold} />
        </Notice>
      )}
      <Question page={page} />
      <Running page={page} />
      <Toolbar
        isTable={isTable}
        nodes={page.nodes}
        onFind={setSelected}
        onTable={setTable}
        onViews={setViews}
        views={views}
      />
      <Flex align="stretch" direction={{ base: "column", lg: "row" }} gap={3}>
        <Box flex={1} minWidth={0}>
          {isTable ? (
            <AsTable edges={page.edges} nodes={page.nodes} onSelect={setSelected} />
          ) : (
            <Graph edges={page.edges} nodes={page.nodes} onSelect={setSelected} selected={selected} views={views} />
          )}
          <Text color="fg.muted" fontSize="xs" mt={1}>
            {said.legend}
          </Text>
        </Box>
        {node && <SidePanel group={page} node={node} onSelect={setSelected} />}
      </Flex>
      <Gate onSelect={setSelected} page={page} />
    </Stack>
  );
}

function Head({ page }: { page: Answer }) {
  const { production, verdict } = page;
  const back = useMemo(
    () =>
      production?.previous
        ? [{ digest: production.previous, says: words.actions.rollback.before(production.previous.slice(0, 12)) }]
        : [],
    [production?.previous],
  );
  return (
    <Box>
      <Flex align="center" gap={3} wrap="wrap">
        <Heading as="h2" size="lg">
          {page.name}
        </Heading>
        {verdict && <GateBadge status={verdict.status} />}
        <Flex gap={2} ml="auto" wrap="wrap">
          <Retrain group={page} />
          <Promote group={page} />
          <ReleaseNow group={page} />
          <Rollback dag={page.dags.rollback} group={page.name} releases={back} />
          <HoldOrResume group={page} key={String(page.hold !== null)} />
        </Flex>
      </Flex>
      <Text fontSize="sm" mt={1}>
        {production ? (
          <>
            {said.production}: <Digest of={production.digest} /> <SaidLine said={production.said} />
          </>
        ) : (
          verdict && said.neverReleased // without one nobody knows
        )}
      </Text>
      {page.retrain_when && (
        <Text color="fg.muted" fontSize="sm">
          {said.retrainWhen}: {page.retrain_when}
        </Text>
      )}
      <PagesOf group={page.name} />
    </Box>
  );
}

/** The pages of a group, as tabs; the tab of a DAG leads away from the first of them. */
export function PagesOf({ group }: { group: string }) {
  const { pathname } = useLocation();
  const pages: [string, string][] = [
    [said.pages.graph, to.group(group)],
    [said.pages.versions, to.versions(group)],
    [said.pages.releases, to.releases(group)],
    [said.pages.data, to.data(group)],
  ];
  return (
    <Flex aria-label={group} as="nav" borderBottomWidth={1} gap={1} mt={3} wrap="wrap">
      {pages.map(([name, address]) => {
        // what is below a page belongs to it; the graph is above them all
        const isHere = address === to.group(group) ? pathname === address : pathname.startsWith(address);
        return (
          <Box
            aria-current={isHere ? "page" : undefined}
            asChild
            borderBottomWidth={2}
            borderColor={isHere ? "blue.solid" : "transparent"}
            fontWeight={isHere ? "semibold" : undefined}
            key={name}
            mb="-1px"
            px={3}
            py={1}
          >
            <RouterLink to={address}>{name}</RouterLink>
          </Box>
        );
      })}
    </Flex>
  );
}

/** What waits for a person. It stays while somebody answers, although it is answered then. */
function Question({ page }: { page: Answer }) {
  const [answered, setAnswered] = useState<Waiting | null>(null);
  const waiting = answered ?? page.waiting;
  if (!waiting) return null;
  return (
    <Notice status="info" title={said.waiting(waiting.subject)}>
      <Flex align="center" gap={3} mt={2} wrap="wrap">
        <Answers group={page.name} onDialog={(isOpen) => setAnswered(isOpen ? waiting : null)} waiting={waiting} />
        {waiting.set && <To to={to.diff(page.name, waiting.set)}>{said.seeDiff}</To>}
        <To to={to.task(waiting.dag_id, waiting.run_id, waiting.task_id)}>{said.seeTask}</To>
      </Flex>
    </Notice>
  );
}

function Running({ page }: { page: Answer }) {
  const runs = Object.values(page.dags).filter(({ running }) => running !== null);
  if (runs.length === 0) return null;
  return (
    <Text aria-live="polite" fontSize="sm">
      {said.running}:{" "}
      {runs.map(({ dag_id, running }, index) => (
        <span key={dag_id}>
          {index > 0 && ", "}
          <To to={to.run(dag_id, running?.run_id ?? "")}>{dag_id}</To> ({running?.state})
        </span>
      ))}
    </Text>
  );
}

function Toolbar({
  nodes,
  views,
  isTable,
  onViews,
  onTable,
  onFind,
}: {
  nodes: GraphNode[];
  views: View[];
  isTable: boolean;
  onViews: (views: View[]) => void;
  onTable: (isTable: boolean) => void;
  onFind: (name: string) => void;
}) {
  return (
    <Flex align="center" gap={3} wrap="wrap">
      <Flex align="center" aria-label={said.views} gap={1} role="group">
        <Text color="fg.muted" fontSize="sm">
          {said.views}
        </Text>
        {VIEWS.map((view) => {
          const isOn = views.includes(view);
          return (
            <Button
              aria-pressed={isOn}
              key={view}
              onClick={() => onViews(isOn ? views.filter((one) => one !== view) : [...views, view])}
              size="xs"
              variant={isOn ? "subtle" : "outline"}
            >
              {isOn ? "✓ " : ""}
              {said.usedBy[view]}
            </Button>
          );
        })}
      </Flex>
      <Input
        aria-label={said.find}
        list="lockstep-nodes"
        maxWidth="14rem"
        onChange={({ target }) => nodes.some(({ name }) => name === target.value) && onFind(target.value)}
        placeholder={said.find}
        size="xs"
      />
      <datalist id="lockstep-nodes">
        {nodes.map(({ name }) => (
          <option key={name} value={name} />
        ))}
      </datalist>
      <Button aria-pressed={isTable} ml="auto" onClick={() => onTable(!isTable)} size="xs" variant="outline">
        {isTable ? words.app.asPlot : words.app.asTable}
      </Button>
    </Flex>
  );
}

function Gate({ page, onSelect }: { page: Answer; onSelect: (name: string) => void }) {
  const { verdict } = page;
  if (!verdict) return null;
  const ofMembers = verdict.members.filter(({ fits, kind }) => !fits && kind !== "api");
  const told = new Set(ofMembers.flatMap(({ reasons }) => reasons));
  const others = verdict.reasons.filter((reason) => !told.has(reason));
  const calm = verdict.status === "open" ? said.open : verdict.status === "nothing new" ? said.nothingNew : null;
  return (
    <Box as="section" borderRadius="md" borderWidth={1} p={3}>
      <Heading as="h3" mb={2} size="sm">
        {verdict.status === "closed" ? said.reasons : said.gate}
      </Heading>
      {calm && <Text fontSize="sm">{calm}</Text>}
      {verdict.approved && <Text fontSize="sm">{verdict.approved}</Text>}
      <Stack as="ul" gap={1} listStyleType="none">
        {ofMembers.flatMap(({ name, reasons }) =>
          reasons.map((reason) => (
            <Line key={reason}>
              <Box asChild color="fg.info" cursor="pointer" textAlign="start" textDecoration="underline">
                <button onClick={() => onSelect(name)} title={said.node.select(name)} type="button">
                  {reason}
                </button>
              </Box>
            </Line>
          )),
        )}
        {others.map((reason) => (
          <Line key={reason}>{reason}</Line>
        ))}
      </Stack>
      {verdict.conditions.length > 0 && (
        <>
          <Heading as="h4" color="fg.muted" mb={1} mt={3} size="xs">
            {said.conditions}
          </Heading>
          <Stack as="ul" gap={1} listStyleType="none">
            {verdict.conditions.map(({ condition, holds, says }) => (
              <Line key={condition}>
                {condition}: {says} ({holds ? said.holds : said.broken})
              </Line>
            ))}
          </Stack>
        </>
      )}
    </Box>
  );
}

function Line({ children }: { children: ReactNode }) {
  return (
    <Box as="li" fontSize="sm">
      {children}
    </Box>
  );
}
