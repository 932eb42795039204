/**
 * What real jobs feel: `npm ci` of a medium project and `git clone` over HTTPS from the lab's own registry and git server, by plain
 * forwarding, through the gateway, and in `sallyport run`. Timed inside of the job; what `run` needs before and after is a
 * figure of its own.
 */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Lab } from "../../test/lab/lab.ts";
import type { Machine } from "../../test/lab/machine.ts";
import { masquerade } from "../peers/peer.ts";
import { launcher, startGateway } from "../peers/sallyport.ts";
import type { Bench, Case } from "../stand/bench.ts";
import { interleave } from "../stand/clock.ts";
import { resolver } from "../stand/stand.ts";

/** Of a medium project; a quick run has a small one. */
const packages = (quick: boolean) => (quick ? 40 : 120);
const repositoryMegabytes = 8;
/** Bytes; a larger push would come in chunks, which the lab's server never sees the end of. */
const postBuffer = 64 << 20;
const registry = "https://registry.npm.example";
const policy = `version: 1
rules:
  - { name: packages, to: [registry.npm.example] }
  - { name: source, to: [git.example] }
default: { mode: enforce }
`;

const jobs = {
  npm_ci: "npm ci --no-audit --no-fund --ignore-scripts --cache cache",
  git_clone: "git clone --quiet https://git.example/repo.git clone",
} as const;
type Job = keyof typeof jobs;

interface Way {
  name: string;
  lab: Lab;
  /** Before the job's command. */
  wrapper: string[];
}

export const jobsCase: Case = {
  name: "jobs",
  title: "npm ci and git clone: with nothing between, through the gateway, in sallyport run",
  wants: { quick: 9, whole: 90 },
  parts: () => Object.keys(jobs).length,
  atStands: false,
  async run(bench) {
    bench.progress("jobs: making two internets with a registry and a repository");
    const [plain, guarded] = await Promise.all([
      Lab.create({ sink: false, forwarding: true }).then((lab) => bench.own(lab)),
      Lab.create({ sink: false }).then((lab) => bench.own(lab)),
    ]);
    try {
      bench.progress("jobs: starting the gateway");
      await masquerade({ lab: plain });
      await startGateway({ lab: guarded }, policy, resolver);
      bench.progress("jobs: filling the repositories");
      await Promise.all([plain, guarded].map((lab) => fill(lab, repositoryMegabytes / (bench.quick ? 8 : 1))));
      const file = join(plain.runner(1).home, "policy.yaml");
      writeFileSync(file, policy);
      const wrapper = [launcher, "run", "--quiet", "--policy", file, "--"];
      bench.clock.again();
      await measure(bench, [
        { name: "forwarding", lab: plain, wrapper: [] },
        { name: "gateway", lab: guarded, wrapper: [] },
        { name: "run", lab: plain, wrapper },
      ]);
    } finally {
      await Promise.allSettled([plain.close(), guarded.close()]);
    }
  },
};

async function measure(bench: Bench, ways: readonly Way[]): Promise<void> {
  const around = new Map<string, number[]>();
  const cannot = new Map<string, string>();
  for (const job of Object.keys(jobs) as Job[]) {
    const figures = await interleave<Way, "inside" | "around">(
      bench.clock,
      `jobs.${job}`,
      ways,
      // As long as they take.
      { rounds: bench.quick ? 1 : 7, seconds: 0 },
      ({ name }) => name,
      (way, round) => {
        bench.progress(`${jobs[job].slice(0, 9)}: ${way.name}, round ${round + 1}`);
        return once(way, job, packages(bench.quick));
      },
      (way, why) => cannot.set(way.name, why),
    );
    bench.recordAll("jobs", { [job]: "s" }, ways, cannot, { [job]: figures.inside });
    for (const [name, values] of figures.around ?? []) around.set(name, [...(around.get(name) ?? []), ...values]);
  }
  bench.recordAll("jobs", { around: "s" }, ways, cannot, { around });
}

/** Runs the job in an empty folder; seconds of the job, and of what was around it. */
async function once({ lab, wrapper }: Way, job: Job, count: number): Promise<Record<"inside" | "around", number>> {
  const runner = lab.runner(1);
  const folder = join(runner.home, "job");
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  if (job === "npm_ci") writeProject(folder, count);
  const script = `date +%s%N && ${jobs[job]} >/dev/null && date +%s%N`;
  const [command, ...args] = [...wrapper, "sh", "-c", script];
  const begun = performance.now();
  const { code, stdout, stderr } = await runner.exec(command, args, {
    cwd: folder,
    timeoutMs: 120_000,
    env: { npm_config_registry: registry },
  });
  const all = (performance.now() - begun) / 1000;
  const [from, to] = [...stdout.matchAll(/^(\d{19})$/gm)].map(([, time]) => Number(time));
  if (code !== 0 || from === undefined || to === undefined)
    throw new Error(`${jobs[job]} ended with ${code}: ${stderr.slice(-500)}`);
  const inside = (to - from) / 1e9;
  return { inside, around: all - inside };
}

/** A project whose lock file names the packages, as `npm ci` wants it. */
function writeProject(folder: string, count: number): void {
  const names = Array.from({ length: count }, (_, i) => `lab-part-${i}`);
  const dependencies = Object.fromEntries(names.map((name) => [name, "1.0.0"]));
  const project = { name: "project", version: "1.0.0", dependencies };
  const locked = names.map((name) => [
    `node_modules/${name}`,
    { version: "1.0.0", resolved: `${registry}/${name}/-/${name}-1.0.0.tgz` },
  ]);
  const lock = { ...project, lockfileVersion: 3, packages: { "": project, ...Object.fromEntries(locked) } };
  writeFileSync(join(folder, "package.json"), JSON.stringify(project));
  writeFileSync(join(folder, "package-lock.json"), JSON.stringify(lock));
}

/** Pushes random files to the lab's repository, from the internet's own side. */
async function fill(lab: Lab, megabytes: number): Promise<void> {
  const world: Machine = lab.world;
  const script = `set -e
git clone --quiet https://git.example/repo.git source && cd source
for i in $(seq ${megabytes * 4}); do head -c 262144 /dev/urandom >file$i; done
git add . && git -c user.name=bench -c user.email=bench@git.example commit --quiet -m fill
git -c http.postBuffer=${postBuffer} push --quiet`;
  const { code, stderr } = await world.exec("sh", ["-c", script], { timeoutMs: 120_000 });
  if (code !== 0) throw new Error(`the repository could not be made: ${stderr.slice(-500)}`);
}
