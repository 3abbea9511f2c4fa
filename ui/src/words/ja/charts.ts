import type { Words } from "..";

const day = new Intl.DateTimeFormat("ja", { month: "short", day: "numeric" });
const second = new Intl.DateTimeFormat("ja", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const time = new Intl.DateTimeFormat("ja", { hour: "2-digit", minute: "2-digit" });
const month = new Intl.DateTimeFormat("ja", { month: "short", year: "numeric" });

export const charts: Words["charts"] = {
  series: "系列",
  share: "行の割合",
  tick: (at, days) => (days > 400 ? month : days > 2 ? day : days > 0.01 ? time : second).format(at),
};
