import type { Words } from "..";

export const warnings: Words["warnings"] = {
  none: "警告はありません",
  noneWhy: "非推奨のノードは使われておらず、期待値はすべて達成され、古くなったものもありません。",
  noneMatch: "この種類の警告はありません。",
  group: "グループ",
  node: "ノード",
  kindOf: "種類",
  says: "内容",
  blocks: "阻害中",
  blocksWhy: "昇格またはリリースを妨げています。",
  all: (n) => `すべて（${n}件）`,
  filter: "警告の種類",
  kind: {
    deprecated: "非推奨",
    deprecated_after: "期限切れ",
    only_for: "専用ノードの使用",
    missed: "期待値未達",
    stale: "古いバージョン",
  },
  errors: (n) => `${n}件が昇格またはリリースを妨げています`,
};

export const search: Words["search"] = {
  hint: "上の検索欄に、バージョン、ジョブID、コミット、ファイル、リリース、ノードなどを入力してください。",
  hintKeys: "↓と↑で結果を移動し、Enterで開きます。",
  found: (n, more) => (more ? `最初の${n}件` : `${n}件`),
  more: "ほかにもあります。さらに入力して絞り込んでください。",
  what: {
    group: "グループ",
    node: "ノード",
    version: "バージョン",
    release: "リリース",
    job: "ジョブ",
    commit: "コミット",
    file: "ファイル",
  },
};
