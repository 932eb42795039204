/** DNS through a filtering forwarder: questions that a cache answers, that go upstream, and that are denied. */
import { hasTool } from "../../test/lab/tools.ts";
import { type DnsPeer, dnsPeers } from "../peers/dns/servers.ts";
import { type Bench, type Case, notQuick, warmUp } from "../stand/bench.ts";
import { interleave } from "../stand/clock.ts";
import { type Answers, ask, kinds, prove, type QuestionKind, wireNames, writeQuestions } from "../stand/questions.ts";
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
  wants: { quick: 14, whole: 105 },
  parts: () => kinds.length,
  atStands: false,
  async run(bench) {
    const cannot = new Map<string, string>();
    for (const tool of ["dnsperf", "unbound"])
      if (!hasTool(tool)) throw new Error(`${tool} is missing: sudo sh scripts/setup --for-bench`);
    const standing = await open(bench, cannot);
    try {
      bench.clock.again();
      const questions = writeQuestions(bench.folder);
      for (const kind of kinds) await measure(bench, kind, questions[kind], standing, cannot);
    } finally {
      await Promise.allSettled(standing.map(({ stand }) => stand.close()));
    }
  },
};

/** Every contender's stand, with proof that it answers an allowed name and refuses another one. */
async function open(bench: Bench, cannot: Map<string, string>): Promise<Standing[]> {
  bench.progress("starting the contenders of DNS");
  const opened = await Promise.all(
    bench.chosen(dnsPeers).map(async (peer): Promise<Standing[]> => {
      if (bench.quick && peer.slow) {
        cannot.set(peer.name, notQuick);
        return [];
      }
      if (peer.needs !== null && !hasTool(peer.needs.tool)) {
        cannot.set(peer.name, `not installed (apt-get install ${peer.needs.packages.join(" ")})`);
        return [];
      }
      const stand = bench.own(await Stand.open([], peer.forwards));
      try {
        await wireNames(stand);
        await peer.start(stand);
        await prove(stand, peer.cannot("denied") === null);
        return [{ peer, stand }];
      } catch (error) {
        await stand.close();
        cannot.set(peer.name, `it did not start: ${(error as Error).message}`);
        return [];
      }
    }),
  );
  return opened.flat();
}

async function measure(
  bench: Bench,
  kind: QuestionKind,
  file: string,
  standing: readonly Standing[],
  unable: ReadonlyMap<string, string>,
): Promise<void> {
  const cannot = new Map(unable);
  for (const { peer } of standing) {
    const why = peer.cannot(kind);
    if (why !== null) cannot.set(peer.name, why);
  }
  const warm = (bench.quick ? warmUp.quick : warmUp.whole) / 4;
  const figures = await interleave<Standing, Figure>(
    bench.clock,
    `dns.${kind}`,
    standing.filter(({ peer }) => !cannot.has(peer.name)),
    bench.quick ? { rounds: 1, seconds: 0.6 } : { rounds: 3, seconds: 2.1 },
    ({ peer }) => peer.name,
    async ({ peer, stand }, round, seconds) => {
      bench.progress(`DNS, ${kind}: ${peer.name}, round ${round + 1}`);
      const { perSecond, ...rest }: Answers = await ask(stand, kind, file, seconds, round === 0 ? warm : 0);
      return { per_second: perSecond, ...rest };
    },
    (peer, why) => cannot.set(peer.peer.name, why),
  );
  bench.recordAll(`dns.${kind}`, units, dnsPeers, cannot, figures);
}
