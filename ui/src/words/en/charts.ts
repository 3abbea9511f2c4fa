const day = new Intl.DateTimeFormat("en", { month: "short", day: "numeric" });
const time = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit" });
const month = new Intl.DateTimeFormat("en", { month: "short", year: "numeric" });

export const charts = {
  series: "Series",
  share: "Share of rows",
  /** A time at the axis, of a chart that spans so many days. */
  tick: (at: Date, days: number) => (days > 400 ? month : days > 2 ? day : time).format(at),
};
