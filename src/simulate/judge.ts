/**
 * From facts to a verdict. "Reached" is what a sink saw; "blocked" needs a sink that was there, would have seen it and did
 * not; anything else is inconclusive, and says why. The client's own impression decides nothing. Pure.
 */
import { isOfTechnique } from "./canary.ts";
import type { Testimony } from "./sink/testimony.ts";
import type { Sighting } from "./sink/witness.ts";
import type { Denial, Fired, Technique, Verdict } from "./technique.ts";

export interface Result {
  technique: Technique;
  verdict: Verdict;
  /** One line for people. */
  why: string;
  /** What the probe's own program saw; null: it was not made. */
  saw: string | null;
  /** Where the canary arrived, behind the firewall. */
  sightings: Sighting[];
  /** The word of Sallyport's own record, where the firewall is ours. */
  denial: Denial | null;
}

/** Whether the verdict is what an enforcing policy should give; null where nothing was shown. */
export function asExpected({ technique, verdict }: Result): boolean | null {
  return verdict === "inconclusive" ? null : verdict === technique.expected;
}

export interface RangeFacts {
  technique: Technique;
  /** Why it was not tried at all; null: it was. */
  unmet: string | null;
  /** Without a firewall. */
  control: { fired: Fired | null; canary: string };
  /** Behind it. */
  behind: { fired: Fired | null; canary: string };
  /** After both; a text: why there is none. */
  testimony: Testimony | string;
  denial: Denial | null;
}

/** In a range, where the same attempt without a firewall has to arrive first. */
export function judgeInRange({ technique, unmet, control, behind, testimony, denial }: RangeFacts): Result {
  const none = { technique, saw: null, sightings: [], denial: null };
  if (unmet !== null) return { ...none, verdict: "inconclusive", why: unmet };
  if (typeof testimony === "string") return { ...none, verdict: "inconclusive", why: `no testimony: ${testimony}` };
  const seen = (canary: string) => testimony.sightings.filter((each) => each.canary === canary);
  const saw = behind.fired?.fired === true ? behind.fired.saw : null;
  const base = { technique, saw, sightings: seen(behind.canary), denial };
  const inconclusive = (why: string): Result => ({ ...base, verdict: "inconclusive", why });
  if (base.sightings.length > 0) return { ...base, verdict: "reached", why: arrival(base.sightings) };
  if (seen(control.canary).length === 0) {
    const tried = control.fired?.fired === true ? `it saw: ${control.fired.saw}` : notMade(control.fired);
    return inconclusive(`did not arrive without a firewall either (${tried})`);
  }
  if (behind.fired?.fired !== true) return inconclusive(`not made behind the firewall: ${notMade(behind.fired)}`);
  if (testimony.incomplete) return inconclusive("the sink lost packets");
  return { ...base, verdict: "blocked", why: `did not arrive; the probe saw: ${behind.fired.saw}` };
}

export interface LiveFacts {
  technique: Technique;
  unmet: string | null;
  canary: string;
  fired: Fired | null;
  /** The answer that only a sink with the token gives to this canary. */
  echo: string;
  /** Of a time after the attempt; a text: why there is none, or why it proves nothing. */
  testimony: Testimony | string;
}

/**
 * Behind somebody else's firewall: the owner's sink is the only witness. That it saw nothing means something only where it
 * saw the same technique arrive before, from a machine without the firewall: the control.
 */
export function judgeLive({ technique, unmet, canary, fired, echo, testimony }: LiveFacts): Result {
  const saw = fired?.fired === true ? fired.saw : null;
  const sightings = typeof testimony === "string" ? [] : testimony.sightings.filter((each) => each.canary === canary);
  const base = { technique, saw, sightings, denial: null };
  const inconclusive = (why: string): Result => ({ ...base, verdict: "inconclusive", why });
  if (unmet !== null) return inconclusive(unmet);
  if (sightings.length > 0) return { ...base, verdict: "reached", why: arrival(sightings) };
  if (fired?.fired !== true) return inconclusive(notMade(fired));
  if (fired.echo === echo) return { ...base, verdict: "reached", why: "the sink's own answer came back" };
  if (typeof testimony === "string") return inconclusive(testimony);
  if (testimony.incomplete) return inconclusive("the sink could not look at everything that arrived");
  // Without this, a closed port, a zone that nobody delegated or a router on the way would pass for a firewall.
  if (!testimony.sightings.some((each) => isOfTechnique(each.canary, technique.id))) return inconclusive(noControl);
  return { ...base, verdict: "blocked", why: `the sink was up and saw nothing; the probe saw: ${fired.saw}` };
}

const noControl = "it never arrived at this sink from anywhere: run it once from a machine without the firewall";

function arrival(sightings: readonly Sighting[]): string {
  const best = sightings.find((each) => each.channel !== "packet") ?? sightings[0]!;
  const form = best.form === "plain" ? "" : `, in ${best.form === "split" ? "pieces" : best.form}`;
  return `arrived at ${best.where} (${best.channel}${form})`;
}

function notMade(fired: Fired | null): string {
  if (fired === null) return "the attempt did not report";
  return fired.fired ? fired.saw : fired.why;
}
