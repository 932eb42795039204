/** Every technique, by family; what is not a technique of the network, and why; and finding one by its id. */
import { SallyportError } from "../errors.ts";
import type { Technique, TechniqueClass } from "./technique.ts";
import { dnsTechniques } from "./techniques/dns.ts";
import { host } from "./techniques/host.ts";
import { http } from "./techniques/http.ts";
import { names } from "./techniques/names.ts";
import { packets } from "./techniques/packets.ts";
import { services } from "./techniques/services.ts";
import { tunnels } from "./techniques/tunnels.ts";

export const techniques: readonly Technique[] = [
  ...http,
  ...names,
  ...dnsTechniques,
  ...packets,
  ...tunnels,
  ...services,
  ...host,
];

/** What no probe of the network can show. */
export const notCovered: readonly { class: TechniqueClass; name: string; why: string }[] = [
  {
    class: "T17",
    name: "secrets printed into the workflow's log (reviewdog and tj-actions, 2025)",
    why: "The log leaves by the runner's own connection to the code host; no packet filter can tell. Detect it in the log.",
  },
  {
    class: "T18",
    name: "caches and artifacts of the code host",
    why: "They go to the host's own storage, which every job needs. Whoever can read them has the data.",
  },
  {
    class: "T21",
    name: "containers, Docker's socket and a flushed ruleset",
    why: "They would change the machine this runs on. With root on the same machine a firewall there can be undone.",
  },
  {
    class: "T14",
    name: "timing, ports and sequence numbers towards an allowed address",
    why: "A few bits always leak; no probe can show that they do not.",
  },
];

/** The techniques with these ids, in the catalogue's order; all of them for none. Throws USAGE with near ids. */
export function choose(ids: readonly string[]): readonly Technique[] {
  for (const id of ids) {
    if (techniques.some((each) => each.id === id)) continue;
    const near = techniques
      .map((each) => each.id)
      .toSorted((a, b) => likeness(id, b) - likeness(id, a) || a.length - b.length);
    const hint = `Near: ${near.slice(0, 3).join(", ")}. \`sallyport simulate --list\` has them all.`;
    throw new SallyportError("USAGE", `There is no technique ${JSON.stringify(id)}. ${hint}`, {
      near: near.slice(0, 3),
    });
  }
  return ids.length === 0 ? techniques : techniques.filter((each) => ids.includes(each.id));
}

/** The technique's number in the catalogue, from 0. */
export function numberOf(id: string): number {
  return techniques.findIndex((each) => each.id === id);
}

/** How many pairs of letters of `asked` are in `known`, in whatever order. */
function likeness(asked: string, known: string): number {
  let left = known;
  let common = 0;
  for (let i = 0; i + 1 < asked.length; i++) {
    const pair = asked.slice(i, i + 2);
    if (left.includes(pair)) common++;
    left = left.replace(pair, "\0\0");
  }
  return common;
}

/** The JSON of `simulate --list --json`. */
export function listJson(chosen: readonly Technique[]) {
  return {
    schema: "sallyport.techniques/1",
    techniques: chosen.map(({ id, name, class: of, attack, incidents, does, works, expected, limit, needs }) => ({
      ...{ id, name, attack, incidents, class: of, does, works, expected, needs },
      ...(limit === undefined ? {} : { limit }),
    })),
    not_covered: notCovered,
  };
}
