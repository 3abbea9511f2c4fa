/** How the scores lie, before and after a release, with the thresholds that cut them. */

import { Grid } from "@chakra-ui/react";
import type { Population } from "../api/types";
import { Chart, type Series } from "../charts/Chart";
import { asSteps, overlaid } from "../charts/histogram";
import { Section } from "../parts/Section";
import { figure, words } from "../words";
import { cutsOf } from "./deciding";

type Model = Population["models"][number];

export function Scores({ models, thresholds }: { models: Model[]; thresholds: Population["thresholds"] }) {
  const all = models.flatMap((model) => model.scores.map((scores) => ({ model, scores })));
  if (all.length === 0) return null;
  return (
    <Section title={words.diff.scores}>
      <Grid gap={4} templateColumns={{ base: "minmax(0, 1fr)", xl: "repeat(2, minmax(0, 1fr))" }}>
        {all.map(({ model, scores }) => (
          <Histogram key={`${model.model} ${scores.of}`} model={model} scores={scores} thresholds={thresholds} />
        ))}
      </Grid>
    </Section>
  );
}

interface Props {
  model: Model;
  scores: Model["scores"][number];
  thresholds: Population["thresholds"];
}

function Histogram({ model, scores, thresholds }: Props) {
  const { of, moved } = scores;
  const { edges, old, new: now } = overlaid(scores.old, scores.new);
  const series: Series[] = [
    { label: `${words.diff.new} (${model.new})`, draw: "filled", like: 0, ...asSteps(edges, now) },
    ...(old
      ? [{ label: `${words.diff.old} (${model.old})`, draw: "step" as const, like: 1, ...asSteps(edges, old) }]
      : []),
  ];
  const says = moved
    ? words.diff.scoresSays(model.model, of, figure(moved.mean), figure(moved.most))
    : words.diff.scoresFirst(model.model, of);
  return (
    <Chart
      caption={words.diff.scoresOf(model.model, of)}
      marks={cutsOf(model, thresholds).map(({ threshold, side, at }) => ({
        at,
        label: side === "old" ? words.diff.cutOld(threshold) : words.diff.cutNew(threshold),
        like: side === "old" ? 1 : 0,
      }))}
      says={says}
      series={series}
      xLabel={words.diff.score}
      yFormat="share"
      yLabel={words.charts.share}
    />
  );
}
