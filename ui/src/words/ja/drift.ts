import type { Form } from "../sentences";

const SIDES = String.raw`^(.+?)( \(\d+ rows\))? is`;
const MORE = / and (\d+) more$/;

const rows = (text: string) => (text ? text.replace(/ \((\d+) rows\)/, "($1 行)") : "");

/** 列・ラベルの名前 */
const named = (role: string, name: string) => `${role === "Label" ? "ラベル" : "列"} ${name}`;

/** 距離と p 値 */
const measured = (size: string) => size.replace("odds ×", "オッズ ×").replace("p below", "p <");

/** 値の範囲 */
const range = (label: string) =>
  label
    .replace(/^above (\S+)$/, "$1 超")
    .replace(/^up to (\S+)$/, "$1 以下")
    .replace(/^(-?[\d.e+-]+) to (-?[\d.e+-]+)$/, "$1〜$2")
    .replace("(blank)", "(空欄)")
    .replace("(others)", "(その他)")
    .replace("(unseen before)", "(以前にない値)")
    .replace("(a value)", "(値あり)");

/** 何がいちばん変わったか */
function change(how: string): string {
  const moved = /^(.+) went from (.+ %) of the rows to (.+ %)$/.exec(how);
  if (moved) return `値が ${range(moved[1] ?? "")} である行が ${moved[2]} から ${moved[3]} になりました`;
  const unseen = /^(.+ %) of the rows have a value that was not there before, as (.+)$/.exec(how);
  return unseen ? `以前になかった値(例: ${unseen[2]})の行が ${unseen[1]} あります` : how;
}

/** 変わったものの一覧 */
const reasons = (told: string) =>
  told
    .split("; ")
    .map((one) => {
      const [, kind = "", names = ""] = /^(label|column)s? (.+)$/.exec(one) ?? [];
      const listed = names.replace(MORE, "、ほか $1 件");
      return kind ? named(kind === "label" ? "Label" : "Column", listed) : one;
    })
    .join("、");

const VERDICTS: Record<string, string> = {
  quiet: "変化なし",
  moved: "小さな変化あり",
  drift: "ドリフトあり",
  "too few rows": "行数不足",
  "not compared": "比較対象外",
};

/** スナップショットと列のドリフトについての文章 */
export const drift: readonly Form[] = [
  [
    new RegExp(`${SIDES} not what (.+) was: (.+)\\.$`),
    (now, size, before, told) => `${now}${rows(size)} は ${before} と異なります: ${reasons(told)}。`,
  ],
  [
    new RegExp(`${SIDES} much as (.+) was; what moved does not matter much, or not by much: (.+)\\.$`),
    (now, size, before, told) =>
      `${now}${rows(size)} は ${before} とほぼ同じです。影響または幅の小さい変化: ${reasons(told)}。`,
  ],
  [new RegExp(`${SIDES} as (.+@\\d+) was\\.$`), (now, size, before) => `${now}${rows(size)} は ${before} と同様です。`],
  [
    /^There are too few rows to hold (.+?)( \(\d+ rows\)) against (.+?)( \(\d+ rows\))\.$/,
    (now, size, before, other) =>
      `行数が少なすぎるため、${now}${rows(size)} を ${before}${rows(other)} と比較できません。`,
  ],
  [
    /^(Column|Label) (.+?) has (drifted|moved): (.+) \(([^()]*p [^()]+)\)\.$/,
    (role, name, how, told, size) =>
      `${named(role, name)} ${how === "drifted" ? "がドリフトしました" : "が少し変わりました"}: ${change(told)}(${measured(size)})。`,
  ],
  [
    /^(Column|Label) (.+?) looks different, but so few rows may by chance \((.+)\)\.$/,
    (role, name, size) =>
      `${named(role, name)} は違って見えますが、行数が少ないため偶然の可能性があります(${measured(size)})。`,
  ],
  [
    /^(Column|Label) (.+?) is as it was \((.+)\)\.$/,
    (role, name, size) => `${named(role, name)} に変化はありません(${measured(size)})。`,
  ],
  [
    /^(Column|Label) (.+?): too few rows \((\d+) and (\d+); (\d+) are needed on each side\)\.$/,
    (role, name, before, now, needed) =>
      `${named(role, name)}: 行数が足りません(${before} 行と ${now} 行。それぞれ ${needed} 行以上必要です)。`,
  ],
  [
    /^Column (.+?) holds dates, which move on by themselves: it is not compared\.$/,
    (name) => `列 ${name} は日付です。日付はおのずと進むため、比較しません。`,
  ],
  [
    /^Column (.+?) holds numbers on one side, and none on the other: it can't be compared\.$/,
    (name) => `列 ${name} は片方だけが数値のため、比較できません。`,
  ],
  [
    /^Column (.+?): nearly all its values are different, so there is nothing to compare\.$/,
    (name) => `列 ${name} は値がほとんどすべて異なるため、比較できるものがありません。`,
  ],
  [
    /^(Column|Label) (.+?): the current rows don't say it, and need not\.$/,
    (role, name) => `${named(role, name)} は新しい行にはまだありません(なくてもかまいません)。`,
  ],
  [/^(\S+) is private: (.+)\.$/, (name, verdict) => `${name} は非公開の列です: ${VERDICTS[verdict] ?? verdict}。`],
  [/^It can't be said: (.+)$/, (why) => `判定できません: ${why}`],
  [
    /^The profile of one of them was written without sketches\.$/,
    () => "片方のプロファイルにスケッチがないため、比較できません。",
  ],
  [/^(\S+) is to be retrained\.$/, (group) => `${group} は再学習の時期です。`],
  [/^Retraining is due\.$/, () => "再学習の時期です。"],
];
