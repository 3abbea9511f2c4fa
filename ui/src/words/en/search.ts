export const warnings = {
  none: "Nothing to warn of",
  noneWhy: "No deprecated node is in use, every expectation is met, and nothing is stale.",
  noneMatch: "Nothing of this kind.",
  group: "Group",
  node: "Node",
  kindOf: "Kind",
  says: "What is wrong",
  blocks: "blocks",
  blocksWhy: "Keeps something from being promoted or released.",
  all: (n: number) => `All ${n}`,
  filter: "Kind of warning",
  kind: {
    deprecated: "deprecated",
    deprecated_after: "past its date",
    only_for: "exclusive use",
    missed: "expectation missed",
    stale: "stale",
  },
  errors: (n: number) => (n === 1 ? "1 blocks a promotion or release" : `${n} block a promotion or release`),
};

export const search = {
  hint: "Type into the search above: a version, a job's id, a commit, a file, a release, a node.",
  hintKeys: "↓ and ↑ go through what is found, Enter opens it.",
  found: (n: number, more: boolean) => (more ? `The first ${n}` : n === 1 ? "1 found" : `${n} found`),
  more: "There is more: type more of it.",
  what: {
    group: "group",
    node: "node",
    version: "version",
    release: "release",
    job: "job",
    commit: "commit",
    file: "file",
  },
};
