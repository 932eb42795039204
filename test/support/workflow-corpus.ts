/**
 * Repositories full of workflows as people write them, from a seed: triggers, matrices, groups, expressions, reusable workflows,
 * composite actions. Beside the texts stands what they mean, written down while they were made and not read from them: a reference
 * that needs no YAML. The same seed gives the same texts.
 */

/** What the reference says of one job. */
export interface ModelJob {
  readonly id: string;
  /** Possible label sets, each sorted and joined by a comma, `@group` behind; null among them: only GitHub can work it out. */
  readonly runners: readonly (string | null)[];
  /** The input that says the runner, where one does: then `runners` is what callers pass. */
  readonly byInput: boolean;
  readonly calls: { readonly path: string; readonly passes: readonly (string | null)[] } | null;
  readonly hasControl: boolean;
}

export interface ModelWorkflow {
  readonly path: string;
  readonly name: string;
  readonly on: readonly string[];
  /** Names of the workflows that it follows. */
  readonly after: readonly string[];
  readonly jobs: readonly ModelJob[];
}

export interface Corpus {
  readonly files: ReadonlyMap<string, string>;
  readonly model: readonly ModelWorkflow[];
}

/** A small generator of numbers in [0, 1): mulberry32. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const triggers = [
  ...["push", "pull_request", "pull_request_target", "schedule", "workflow_dispatch", "release", "issue_comment"],
  ...["merge_group", "issues", "push", "push"],
];
const hosted = ["ubuntu-latest", "ubuntu-24.04", "ubuntu-22.04", "windows-2022", "macos-15", "ubuntu-24.04-arm"];
const own = ["self-hosted,linux,x64", "self-hosted", "gpu-fleet", "self-hosted,arm64"];
const sha = "0123456789abcdef0123456789abcdef01234567";
const commands = [
  "npm ci",
  "npm test -- --coverage",
  "make -j2 all",
  "go test ./...",
  'echo "version=$(git describe --tags)" >> "$GITHUB_OUTPUT"',
  "cargo build --release --locked",
  "docker build --pull -t registry.example/app:${{ github.sha }} .",
  "pip install -r requirements.txt && pytest -q",
];
const actions = ["actions/checkout", "actions/setup-node", "actions/cache", "actions/upload-artifact", "octo/deploy"];

interface Runner {
  readonly lines: readonly string[];
  readonly runners: readonly (string | null)[];
}

const sorted = (labels: string, group = "") => `${labels.split(",").toSorted().join()}${group && `@${group}`}`;

/** `count` workflows; every fifth is one that others call. */
export function workflowCorpus(seed: number, count: number, mostSteps = 6): Corpus {
  const random = randomFrom(seed);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
  const upTo = (most: number) => 1 + Math.floor(random() * most);
  const files = new Map<string, string>();
  const paths = Array.from({ length: count }, (_, i) => `.github/workflows/${i % 5 === 4 ? "shared" : "ci"}-${i}.yml`);
  const shared = paths.filter((path) => path.includes("shared"));

  const anyRunner = (): Runner => {
    const [a, b, c] = [pick(hosted), pick(own), pick(hosted)];
    const list = b.includes(",") ? `[${b.replaceAll(",", ", ")}]` : b;
    return pick<() => Runner>([
      () => ({ lines: [`runs-on: ${a}`], runners: [a] }),
      () => ({ lines: [`runs-on: ${a}`], runners: [a] }),
      () => ({ lines: [`runs-on: ${list}`], runners: [b] }),
      () => ({ lines: ["runs-on:", "  group: fleet", `  labels: ${list}`], runners: [sorted(b, "fleet")] }),
      () => ({
        lines: ["strategy:", "  matrix:", `    os: [${a}, ${c}]`, `    node: [20, 22]`, "runs-on: ${{ matrix.os }}"],
        runners: [a, c],
      }),
      () => ({
        lines: ["strategy:", "  matrix:", `    os: [${a}]`, "    include:", `      - os: ${b.split(",")[0]}`].concat(
          "runs-on: ${{ matrix.os }}",
        ),
        runners: [a, b.split(",")[0]!],
      }),
      () => ({
        lines: [`runs-on: \${{ github.event_name == 'push' && '${b.split(",")[0]}' || '${a}' }}`],
        runners: [b.split(",")[0]!, a],
      }),
      () => ({ lines: [`runs-on: \${{ fromJSON('${JSON.stringify(b.split(","))}') }}`], runners: [b] }),
      () => ({ lines: ["runs-on: ${{ vars.RUNNER }}"], runners: [null] }),
    ])();
  };

  const steps = (hasControl: boolean): string[] => {
    const first = hasControl
      ? [`- uses: sallyport/sallyport@${sha} # v1.0.0`, "  with:", "    egress-policy: block"]
      : [];
    return first.concat(
      Array.from({ length: upTo(mostSteps) }, (_, i): string[] =>
        random() < 0.4
          ? [`- uses: ${pick(actions)}@${pick([sha, "v4"])}`, "  with:", `    key: \${{ runner.os }}-${i}`]
          : random() < 0.1
            ? [`- uses: ./.github/actions/tool-${upTo(3)}`]
            : [`- name: Step ${i}`]
                .concat(random() < 0.25 ? [`  if: github.ref != 'refs/heads/none'`] : [])
                .concat("  run: |", `    ${pick(commands)}`, `    ${pick(commands)}`),
      ).flat(),
    );
  };

  const drafts = paths.map((path, at) => {
    const isShared = shared.includes(path);
    const on = isShared ? ["workflow_call"] : [...new Set(Array.from({ length: upTo(3) }, () => pick(triggers)))];
    const after = !isShared && at > 0 && random() < 0.1 ? [`Workflow ${Math.floor(random() * at)}`] : [];
    if (after.length > 0) on.push("workflow_run");
    const fallback = pick(hosted);
    const jobs = Array.from({ length: upTo(4) }, (_, i): { model: ModelJob; lines: string[] } => {
      const id = `job-${i}`;
      // Only what comes behind is called: GitHub refuses a circle, and a test of its own makes one.
      const behind = shared.filter((each) => paths.indexOf(each) > at);
      if (behind.length > 0 && random() < 0.25) {
        const target = pick(behind);
        const passed = pick([null, pick(hosted), pick(own).split(",")[0]!, isShared ? "inputs" : null]);
        const given = passed === "inputs" ? "${{ inputs.runner }}" : passed;
        const lines = [`uses: ./${target}`, ...(given === null ? [] : ["with:", `  runner: ${given}`])];
        const calls = { path: target, passes: passed === null ? [] : [passed] };
        return { model: { id, runners: [], byInput: false, calls, hasControl: false }, lines };
      }
      const hasControl = random() < 0.5;
      const byInput = isShared && random() < 0.6;
      const runner = byInput ? { lines: ["runs-on: ${{ inputs.runner }}"], runners: [fallback] } : anyRunner();
      const lines = [...runner.lines, "timeout-minutes: 20", "steps:", ...steps(hasControl).map((line) => `  ${line}`)];
      return { model: { id, runners: runner.runners.map(sortedOf), byInput, calls: null, hasControl }, lines };
    });
    const events = on.flatMap((name) => {
      if (name === "schedule") return ["  schedule:", "    - cron: '7 3 * * 1'"];
      if (name === "workflow_run") return ["  workflow_run:", `    workflows: [${after.join(", ")}]`];
      if (name !== "workflow_call") return [name === "push" ? "  push: { branches: [main] }" : `  ${name}:`];
      return [
        `  workflow_call:`,
        "    inputs:",
        "      runner:",
        "        type: string",
        `        default: ${fallback}`,
      ];
    });
    const text = [
      `# Workflow ${at} of seed ${seed}`,
      `name: Workflow ${at}`,
      "on:",
      ...events,
      "permissions:",
      "  contents: read",
      "concurrency:",
      "  group: ${{ github.workflow }}-${{ github.ref }}",
      "env:",
      "  CI: 'true'",
      "jobs:",
      ...jobs.flatMap(({ model, lines }) => [`  ${model.id}:`, ...lines.map((line) => `    ${line}`)]),
    ];
    files.set(path, `${text.join("\n")}\n`);
    return { path, name: `Workflow ${at}`, on, after, jobs: jobs.map(({ model }) => model) };
  });
  return { files, model: withInputs(drafts) };
}

function sortedOf(text: string | null): string | null {
  if (text === null || text.includes("@")) return text;
  return sorted(text);
}

/** What callers pass, gone through again and again until nothing new comes: slow, and plainly right. */
function withInputs(drafts: readonly ModelWorkflow[]): ModelWorkflow[] {
  const values = new Map(
    drafts.map(({ path, jobs }) => [path, new Set(jobs.find(({ byInput }) => byInput)?.runners ?? [])] as const),
  );
  for (let before = -1, now = 0; before !== now;) {
    before = now;
    for (const { path, jobs } of drafts) {
      for (const { calls } of jobs) {
        for (const passed of calls?.passes ?? []) {
          const given = passed === "inputs" ? values.get(path)! : [passed];
          for (const each of given) values.get(calls!.path)!.add(each);
        }
      }
    }
    now = [...values.values()].reduce((sum, set) => sum + set.size, 0);
  }
  return drafts.map((draft) => ({
    ...draft,
    jobs: draft.jobs.map((job) => (job.byInput ? { ...job, runners: [...values.get(draft.path)!] } : job)),
  }));
}
