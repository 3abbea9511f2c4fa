/**
 * The colours of the charts.
 *
 * Rules:
 * - Each stands out from the page by at least 3:1 in its mode, and a series is told from others by its dash as well:
 *   whoever can't tell two colours apart can tell the lines apart.
 * - What is no series (axes, grid, words) has the colours of Airflow's theme, read when the chart is drawn.
 */

export const SERIES = {
  light: ["#0072b2", "#c04a00", "#00795b", "#93468e", "#756500", "#4d4d4d"],
  dark: ["#56b4e9", "#f0a030", "#3fcfa4", "#e39bc6", "#e3d64a", "#c4c4c4"],
} as const;

const DASHES: number[][] = [[], [6, 3], [2, 3], [10, 3, 2, 3], [12, 4], [1, 3]];

export interface Ink {
  series: readonly string[];
  text: string;
  muted: string;
  grid: string;
  warn: string;
  ground: string;
  font: string;
}

export const isDark = (): boolean => document.documentElement.classList.contains("dark");

/** What to draw with now. */
export function ink(element: Element): Ink {
  const style = getComputedStyle(element);
  const token = (name: string, other: string) => style.getPropertyValue(`--chakra-colors-${name}`).trim() || other;
  return {
    series: SERIES[isDark() ? "dark" : "light"],
    text: token("fg", style.color),
    muted: token("fg-muted", style.color),
    grid: token("border", style.color),
    warn: token("fg-error", style.color),
    ground: token("bg", "transparent"),
    font: `12px ${style.fontFamily}`,
  };
}

export const dashOf = (series: number): number[] => DASHES[series % DASHES.length] ?? [];

/** The colour as one that lets through what is behind it. */
export const faint = (colour: string, alpha: number): string =>
  `${colour}${Math.round(alpha * 255)
    .toString(16)
    .padStart(2, "0")}`;

/** Calls `redraw` whenever Airflow switches between light and dark. */
export function onTheme(redraw: () => void): () => void {
  const observer = new MutationObserver(redraw);
  observer.observe(document.documentElement, { attributeFilter: ["class", "data-theme", "style"] });
  return () => observer.disconnect();
}
