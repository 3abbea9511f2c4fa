/** The charts of a version: its curves, and how far its probabilities can be trusted. */

import { Stack, Text } from "@chakra-ui/react";
import type { ReactNode } from "react";
import type { VersionPage } from "../api/types";
import { Chart } from "../charts/Chart";
import { useLive } from "../live/live";
import { to } from "../parts/address";
import { Section } from "../parts/Section";
import { Shown } from "../parts/State";
import { To } from "../parts/small";
import { figure, words } from "../words";
import { byAxes, type Chosen, chosenAt, type Overlay, thresholdOf } from "./compare";

const UNIT: [number, number] = [0, 1];

/** The curves of a version. What cuts a model's scores knows how good they are: a model shows its thresholds' curves. */
export function Curves({ group, page }: { group: string; page: VersionPage }) {
  const tuned = page.kind === "model" && page.curves.length === 0 ? thresholdOf(page.made_into) : null;
  const seen = useLive<VersionPage>(
    tuned && `groups/${encodeURIComponent(group)}/versions/${encodeURIComponent(tuned.ref)}`,
  );
  const shown = tuned ? seen.data : page;
  if (!shown) {
    return (
      <Section title={words.version.curves}>
        <Shown seen={seen}>{() => null}</Shown>
      </Section>
    );
  }
  const overlays = byAxes(shown.curves);
  const by = tuned && (
    <Text color="fg.muted" fontSize="sm">
      {words.version.by} <To to={to.version(group, tuned.ref)}>{tuned.ref}</To>
    </Text>
  );
  return (
    <>
      {overlays.length > 0 && (
        <Section aside={by} title={words.version.curves}>
          <Stack gap={4}>
            {overlays.map((overlay) => (
              <CurveChart chosen={chosenAt(shown)} key={`${overlay.x_label} ${overlay.y_label}`} overlay={overlay} />
            ))}
          </Stack>
        </Section>
      )}
      {shown.calibration && <Calibration aside={by} page={shown} />}
    </>
  );
}

interface CurveProps {
  overlay: Overlay;
  /** Where on the x axis a threshold was chosen. */
  chosen?: Chosen | null;
}

export function CurveChart({ overlay, chosen = null }: CurveProps) {
  const { name, x_label, y_label, curves } = overlay;
  const what = words.version.curve(y_label, x_label);
  const caption = name ? `${name}: ${what}` : what;
  const points = curves.reduce((all, { curve }) => all + curve.x.length, 0);
  const unit = curves.every(({ curve }) => [...curve.x, ...curve.y].every((value) => value >= 0 && value <= 1));
  return (
    <Chart
      caption={caption}
      height={220}
      says={words.version.curveSays(caption, curves.map(({ label }) => label).join(", "), points)}
      series={curves.map(({ label, curve }) => ({ label, x: curve.x, y: curve.y, draw: "line" }))}
      xLabel={x_label}
      yLabel={y_label}
      {...(chosen?.axis === x_label && { marks: [{ at: chosen.at, label: chosen.label }] })}
      {...(unit && { xRange: UNIT, yRange: UNIT })}
    />
  );
}

function Calibration({ page, aside }: { page: VersionPage; aside: ReactNode }) {
  const { calibration, interval, figures, kind } = page;
  if (!calibration) return null;
  const value = kind === "threshold" ? figures.value : null;
  return (
    <Section aside={aside} title={words.version.calibration}>
      <Chart
        caption={`${words.version.brier} ${figure(calibration.brier_score)}`}
        says={words.version.calibrationSays(figure(calibration.brier_score))}
        series={[
          { label: words.version.observed, x: calibration.predicted, y: calibration.observed, draw: "points" },
          { label: words.version.perfect, x: UNIT, y: UNIT, draw: "line", like: 5 },
        ]}
        xLabel={words.version.predicted}
        xRange={UNIT}
        yLabel={words.version.observed}
        yRange={UNIT}
        {...(value != null && { marks: [{ at: value, label: words.version.cut }] })}
        {...(interval &&
          value != null && { spans: [{ from: interval.low, to: interval.high, label: words.version.interval }] })}
      />
    </Section>
  );
}
