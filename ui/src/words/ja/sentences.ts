import type { Form } from "../sentences";
import { drift } from "./drift";

const CONDITION = String.raw`^(?:(\w+\([^)]*\)): )?`; // where a node says which condition it is about
const about = (condition: string) => (condition ? `${condition}: ` : "");

/** サーバーの文章 */
export const forms: readonly Form[] = [
  ...drift,
  [/^(\S+) is not in staging$/, (name) => `${name} はステージングにありません`],
  [
    /^(\S+) was built on (\S+), but (\S+) is in staging; retrain and promote (\S+)$/,
    (ref, used, staged, name) =>
      `${ref} は ${used} をもとに作られていますが、ステージングにあるのは ${staged} です。${name} を再学習して昇格してください`,
  ],
  [
    /^(\S+) was not built on (\S+), but (\S+) is in staging; retrain and promote (\S+)$/,
    (ref, upstream, staged, name) =>
      `${ref} は ${upstream} をもとに作られていませんが、ステージングには ${staged} があります。${name} を再学習して昇格してください`,
  ],
  [
    /^(\S+) was trained on (\S+), but (\S+) on (\S+); retrain and promote (\S+)$/,
    (ref, used, other, newer, name) =>
      `${ref} は ${used} で、${other} は ${newer} で学習されています。${name} を再学習して昇格してください`,
  ],
  [
    /^(\S+) was tuned for (\S+), but (\S+) is in staging; tune and promote (\S+)$/,
    (ref, model, staged, name) =>
      `${ref} は ${model} 用に調整されていますが、ステージングにあるのは ${staged} です。${name} を調整して昇格してください`,
  ],
  [/^(\S+) waits for (.+)$/, (name, names) => `${name} は ${names} を待っています`],
  [
    /^release (\S+) in production is what stands in staging$/,
    (digest) => `本番のリリース ${digest} はステージングと同じ内容です`,
  ],
  [
    /^exactly this set was released as (\S+) and rolled back; promote another version, or go forward to it with (.+)$/,
    (digest, command) =>
      `この組み合わせは ${digest} としてリリースされた後、ロールバックされました。別のバージョンを昇格するか、${command} で戻してください`,
  ],
  [
    /^exactly this set was rejected by (.+?) on ([\d-]+)((?:: .*)?); promote another version, or (`lockstep approve \S+`)$/,
    (who, day, why, command) =>
      `この組み合わせは ${day} に ${who} が却下しました${why}。別のバージョンを昇格するか、${command} で承認してください`,
  ],
  [
    /^exactly this set was approved by (.+?) on ([\d-]+)((?:: .*)?)$/,
    (who, day, why) => `この組み合わせは ${day} に ${who} が承認しました${why}`,
  ],
  [
    /^(\S+) is on hold since (\S+), by (.+?), after the rollback from release (\S+?)((?:: .*)?); lift it with (.+)$/,
    (group, since, who, left, why, command) =>
      `${group} は ${since} から保留中です(${who}、リリース ${left} からのロールバック後)${why}。${command} で解除できます`,
  ],
  [
    /^(\S+) is on hold since (\S+), by (.+?)((?:: .*)?); lift it with (.+)$/,
    (group, since, who, why, command) => `${group} は ${since} から保留中です(${who})${why}。${command} で解除できます`,
  ],
  [
    new RegExp(`${CONDITION}(\\d+) of (\\d+) decisions change \\((.+?)\\), allowed is at most (.+)$`),
    (condition, some, all, share, most) =>
      `${about(condition)}${all} 件中 ${some} 件の判定が変わります(${share})。許容は ${most} 以下です`,
  ],
  [
    new RegExp(
      `${CONDITION}(\\d+) of (\\d+) keys get a yes from the one, a no from the other \\((.+?)\\), allowed is at most (.+)$`,
    ),
    (condition, some, all, share, most) =>
      `${about(condition)}${all} 件中 ${some} 件のキーで判定が食い違います(${share})。許容は ${most} 以下です`,
  ],
  [
    new RegExp(`${CONDITION}nothing was decided before, so nothing changes$`),
    (condition) => `${about(condition)}以前の判定がないため、変わるものはありません`,
  ],
  [
    new RegExp(`${CONDITION}there are no rows to count on, allowed is at most (.+)$`),
    (condition, most) => `${about(condition)}数えられる行がありません。許容は ${most} 以下です`,
  ],
  [
    /^Group "(\S+)": release_if needs the decision diff of exactly the set that would be released \((\S+) in the place of (?:release (\S+)|nothing)\), and none is kept\. Make it with (`.+`), then release\.$/,
    (group, digest, old, command) =>
      `グループ「${group}」: release_if には、リリースする組み合わせそのもの(${digest}、置き換え対象: ${old || "なし"})の判定差分が必要ですが、保存されていません。${command} で作成してからリリースしてください。`,
  ],
  [
    /^(\S+) is only for (.+): whatever else uses it is refused\.$/,
    (name, users) => `${name} は ${users} 専用です。ほかで使うと拒否されます。`,
  ],
  [
    /^(\S+) is deprecated since (\S+): (.*)\. (.+) can't be promoted any more\.$/,
    (name, since, note, users) => `${name} は ${since} から非推奨です: ${note}。${users} はもう昇格できません。`,
  ],
  [
    /^(\S+) is deprecated: (.*)\. After (\S+), (.+) can't be promoted any more\.$/,
    (name, note, until, users) =>
      `${name} は非推奨です: ${note}。${until} を過ぎると ${users} は昇格できなくなります。`,
  ],
  [
    /^(\S+) is deprecated: (.*)\. (.+) uses it\.$/,
    (name, note, users) => `${name} は非推奨です: ${note}。${users} が使っています。`,
  ],
  [/^(\S+) can't be promoted: (.+)$/, (ref, missed) => `${ref} は昇格できません: ${missed}`],
  [
    /^(?:(\S+@\d+): )?a newer snapshot, (\S+), is there; it was trained on (\S+)$/,
    (ref, newest, used) => `${about(ref)}新しいスナップショット ${newest} があります。学習に使われたのは ${used} です`,
  ],
  [
    /^You may not start (\S+)\. Ask for the right to trigger it\.$/,
    (dag) => `${dag} を開始する権限がありません。実行の権限を依頼してください。`,
  ],
  [
    /^(\S+) is paused; unpause it in Airflow\.$/,
    (dag) => `${dag} は一時停止中です。Airflowで一時停止を解除してください。`,
  ],
  [
    /^There is no DAG (\S+)\. watch=every\(…\) in release_dags makes it\.$/,
    (dag) => `DAG ${dag} はありません。release_dagsに watch=every(…) を指定すると作られます。`,
  ],
  [/^There is no DAG (\S+)\.$/, (dag) => `DAG ${dag} はありません。`],
  [
    /^You may not answer for (\S+)\. Ask for the right to edit its required actions\.$/,
    (dag) => `${dag} に回答する権限がありません。必須アクションの編集権限を依頼してください。`,
  ],
  [/^Only (.+) may answer\.$/, (who) => `回答できるのは ${who} だけです。`],
  [
    /^Registry (\S+) does not answer; this was known last\.$/,
    (address) => `レジストリ ${address} が応答しません。表示は最後に確認できた内容です。`,
  ],
  [/^Registry (\S+) has not answered yet\.$/, (address) => `レジストリ ${address} からまだ応答がありません。`],
  [
    /^Registry (\S+) had (\d+) entries, and has (\d+) now: its folder is not mounted, or was replaced\. This was known last\. Bring it back; if it was made anew on purpose, restart Airflow's API server\.$/,
    (address, before, now) =>
      `レジストリ ${address} の記録は ${before} 件でしたが、現在は ${now} 件です。フォルダーがマウントされていないか、置き換えられています。表示は最後に確認できた内容です。元に戻してください。意図して作り直した場合は、AirflowのAPIサーバーを再起動してください。`,
  ],
  [
    /^No registry is named\. Set (\S+) for Airflow's API server, scheduler, workers and triggerer, or the Airflow variable (\S+), or give registry= to release_dags; for example (\S+)\.$/,
    (variable, ofAirflow, example) =>
      `レジストリが指定されていません。AirflowのAPIサーバー、スケジューラー、ワーカー、トリガラーに環境変数 ${variable} を設定するか、Airflow変数 ${ofAirflow} を設定するか、release_dagsに registry= を指定してください(例: ${example})。`,
  ],
];
