import type { Words } from "..";

export const parts: Words["parts"] = {
  trail: "現在地",
  attempt: (n) => `${n}回目の試行`,
  taskLog: "タスクとログ",
  log: "ログ",
  console: "Google Cloudコンソール",
  all: "すべて",
  none: "なし",
  yes: "はい",
  no: "いいえ",
  by: "実行者",
  when: "日時",
  why: "理由",
  job: "ジョブ",
};
