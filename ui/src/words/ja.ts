import type { Words } from ".";

/** 日本語 */
export const ja: Words = {
  app: {
    title: "Lockstep",
    groups: "リリースグループ",
    warnings: "警告",
    search: "検索",
    searchFor: "バージョン、ジョブ、コミット、ファイルを検索",
    loading: "読み込み中",
    nothingFound: (query) => `「${query}」に一致するものはありません。`,
    notFound: "このページはありません。",
    back: "戻る",
    close: "閉じる",
    cancel: "キャンセル",
    more: "さらに表示",
    asTable: "表で見る",
    asPlot: "グラフで見る",
    opensAirflow: "Airflowで開く",
  },
  problem: {
    title: "問題があります",
    away: "レジストリに接続できません。表示内容は最後に確認できた時点のものです。",
    server: "AirflowのAPIサーバーが応答しません。1秒ごとに再試行しています。",
    denied: "表示する権限がありません。",
    signIn: "セッションの有効期限が切れました。もう一度サインインしてください。",
  },
  stage: {
    candidate: "候補",
    staging: "ステージング",
    production: "本番",
    archived: "アーカイブ",
  },
  kind: {
    dataset: "データセット",
    model: "モデル",
    threshold: "しきい値",
    api: "API",
    snapshot: "スナップショット",
  },
  gate: {
    open: "リリース可能",
    closed: "足並みが乱れています",
    "nothing new": "足並みが揃っています",
  },
  card: {
    inStep: "すべてのグループの足並みが揃っています",
    outOfStep: (n) => `${n}グループの足並みが乱れています`,
    waiting: (n) => `${n}件のリリースが承認待ちです`,
    onHold: (n) => `${n}グループが保留中です`,
    due: (n) => `${n}グループが再学習の時期です`,
    none: "リリースグループはまだありません",
  },
};
