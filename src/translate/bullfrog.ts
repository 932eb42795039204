/**
 * Bullfrog: inputs `allowed-domains`, `allowed-ips` and `egress-policy` of a workflow's steps.
 *
 * A domain is compared with Go's `path.Match` (bullfrogsec/agent, agent.go): `*` is any run of characters, dots too, or none;
 * `?`, `[…]` and `\` mean something as well. What a name resolves to is then open on every port, for TCP and UDP.
 */
import type { Context } from "./context.ts";
import { ifFalse, importSteps, rootStays } from "./actions.ts";
import { placesOf } from "./draft.ts";
import type { Place } from "./draft.ts";
import { piecesOf, words } from "./field.ts";
import { quoted } from "./note.ts";
import type { Step } from "./workflow.ts";

/** Fills the draft from the steps of a workflow that use Bullfrog. */
export function importBullfrog(context: Context): void {
  importSteps(context, {
    action: "bullfrogsec/bullfrog",
    product: "Bullfrog",
    mode: { input: "egress-policy", enforce: "block", monitor: "audit", usual: "audit" },
    udp: true,
    places: (step, context) => [...list(step, "allowed-domains", context), ...list(step, "allowed-ips", context)],
    lists: ["allowed-domains", "allowed-ips"],
    quiet: ["collect-process-info", "api-token", "log-directory", "agent-download-base-url", "local-agent"],
    others: {
      "dns-policy": {
        effect: "narrower",
        message: "names that no rule has are not looked up here",
        matters: (value) => value === "any",
      },
      "enable-sudo": { effect: "other", message: rootStays, matters: ifFalse },
    },
    about: [
      ...(context.options.web
        ? [
            "Bullfrog opens every port of an allowed domain; --web took 443 (TLS that names the host) and 80 (HTTP) of them.",
          ]
        : [
            "Bullfrog opens every port of an allowed domain, so the rules do: opaque, known by DNS alone. Import with --web for 443 and 80 by name, which is what a build needs most often.",
          ]),
      "Left out on purpose: the addresses Bullfrog always opens (the host's own, the platform's and the metadata services).",
    ],
  });
}

function list(step: Step, input: "allowed-domains" | "allowed-ips", { lines, notes, options }: Context): Place[] {
  const field = step.inputs.get(input)?.value;
  if (field === undefined) return [];
  return piecesOf(field, lines, words).flatMap(({ text, line, column }) => {
    const spot = { line, column };
    if (/[?[\]\\]/.test(text) && input === "allowed-domains") {
      notes.add("narrower", spot, `${quoted(text)}: ?, [ ] and \\ have no counterpart in a pattern`);
      return [];
    }
    const ports = options.web && input === "allowed-domains" ? [443, 80] : "any";
    return placesOf(text, ports, spot, { product: "Bullfrog", star: { crossesDots: true, mayBeEmpty: true } }, notes);
  });
}
