/** DNS through a filtering forwarder: questions that a cache answers, that go upstream, and that are denied. */
import { hasTool } from "../../test/lab/tools.ts";
import { type DnsPeer, dnsPeers } from "../peers/dns/servers.ts";
import { type Bench, type Case, interleave } from "../stand/bench.ts";
import { type Answers, ask, kinds, type QuestionKind, wireNames, writeQuestions } from "../stand/questions.ts";
import { Stand } from "../stand/stand.ts";

const units = { per_second: "/s", p50: "µs", p99: "µs", lost: "" } as const;
type Figure = keyof typeof units;

interface Standing {
  peer: DnsPeer;
  stand: Stand;
}

export const dns: Case = {
  name: "dns",
  title: "DNS questions a second: cached, forwarded, denied; and their latency",
  async run(bench) {
    const cannot = new Map<string, string>();
    for (const tool of ["dnsperf", "unbound"])
      if (!hasTool(tool)) throw new Error(`${tool} is missing: sudo sh scripts/setup --for-bench`);
    const standing = await open(bench, cannot);
    try {
      const questions = writeQuestions(bench.folder);
      for (const kind of kinds) await measure(bench, kind, questions[kind], standing, cannot);
    } finally {
      for (const { stand } of standing) await stand.close();
    }
  },
};

async function open(bench: Bench, cannot: Map<string, string>): Promise<Standing[]> {
  const standing: Standing[] = [];
  for (const peer of bench.chosen(dnsPeers)) {
    if (peer.needs !== null && !hasTool(peer.needs.tool)) {
      cannot.set(peer.name, `not installed (apt-get install ${peer.needs.packages.join(" ")})`);
      continue;
    }
    bench.progress(`starting ${peer.name} for DNS`);
    const stand = await Stand.open([], peer.forwards);
    try {
      await wireNames(stand);
      await peer.start(stand);
      standing.push({ peer, stand });
    } catch (error) {
      await stand.close();
      cannot.set(peer.name, `it did not start: ${(error as Error).message}`);
    }
  }
  return standing;
}

async function measure(
  bench: Bench,
  kind: QuestionKind,
  file: string,
  standing: readonly Standing[],
  unable: ReadonlyMap<string, string>,
): Promise<void> {
  const cannot = new Map(unable);
  const seconds = bench.quick ? 1 : 2;
  for (const { peer, stand } of standing) {
    const why = peer.cannot(kind);
    if (why !== null) cannot.set(peer.name, why);
    else {
      // Fills the caches, and shows that it answers as it should.
      const failed = await ask(stand, kind, file, 1).then(
        () => null,
        (error: Error) => error.message,
      );
      if (failed !== null) cannot.set(peer.name, failed);
    }
  }
  const able = standing.filter(({ peer }) => !cannot.has(peer.name));
  const figures = await interleave<Standing, Figure>(
    able,
    bench.quick ? 1 : 3,
    ({ peer }) => peer.name,
    async ({ peer, stand }, round) => {
      bench.progress(`DNS, ${kind}: ${peer.name}, round ${round + 1}`);
      const { perSecond, ...rest }: Answers = await ask(stand, kind, file, seconds);
      return { per_second: perSecond, ...rest };
    },
  );
  for (const [figure, unit] of Object.entries(units) as [Figure, string][]) {
    const samples = new Map<string, readonly number[] | string>();
    for (const { name } of bench.chosen(dnsPeers))
      samples.set(name, cannot.get(name) ?? figures[figure]?.get(name) ?? []);
    bench.record(`dns.${kind}.${figure}`, unit, samples);
  }
}
