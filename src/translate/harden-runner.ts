/**
 * StepSecurity's harden-runner: inputs `allowed-endpoints` and `egress-policy` of a workflow's steps.
 *
 * `allowed-endpoints` is a list of `host` or `host:port` parted by white space, 443 where no port is written. Its agent
 * (step-security/agent, config.go and dnsproxy.go) compares a name with what stands before the first `*` and between that and
 * the next: any characters, dots too, or none. `*.example.com` is thus our `**.example.com`.
 */
import type { Context } from "./context.ts";
import { importSteps, rootStays, unlessFalse } from "./actions.ts";
import { placesOf, readPort } from "./draft.ts";
import type { Place } from "./draft.ts";
import { piecesOf, words } from "./field.ts";
import { quoted } from "./note.ts";
import type { Step } from "./workflow.ts";

const elsewhere = { effect: "narrower", message: "the list is kept by StepSecurity and not in this file" } as const;

/** Fills the draft from the steps of a workflow that use harden-runner. */
export function importHardenRunner(context: Context): void {
  importSteps(context, {
    action: "step-security/harden-runner",
    product: "harden-runner",
    mode: { input: "egress-policy", enforce: "block", monitor: "audit", usual: "block" },
    udp: false,
    places: endpoints,
    lists: ["allowed-endpoints"],
    quiet: [
      "token",
      "api-key",
      "disable-telemetry",
      "disable-file-monitoring",
      "exempt-files",
      "deploy-on-self-hosted-vm",
    ],
    others: {
      policy: { ...elsewhere, matters: () => true },
      "use-policy-store": { ...elsewhere, matters: unlessFalse },
      "disable-sudo": { effect: "other", message: rootStays, matters: unlessFalse },
      "disable-sudo-and-containers": { effect: "other", message: rootStays, matters: unlessFalse },
    },
    about: [
      "harden-runner lets a name's address through on a port, whatever is spoken there. Here 443 must be TLS that names the host, 80 HTTP, 22 SSH.",
      "Left out on purpose: harden-runner also opens private networks (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16), the metadata services and its own servers, which no list names.",
      "What GitHub's runner needs is a preset here, with GitHub's numbered storage accounts in place of productionresultssa*, which strangers can register.",
    ],
  });
}

function endpoints(step: Step, { lines, notes }: Context): Place[] {
  const field = step.inputs.get("allowed-endpoints")?.value;
  if (field === undefined) return [];
  // The agent opens the addresses of a wildcard's names on the first port that stands with it (dnsproxy.go).
  const first = new Map<string, number>();
  return piecesOf(field, lines, words).flatMap(({ text, line, column }) => {
    const spot = { line, column };
    const [host, portText, ...more] = text.includes("${{") ? [text] : text.split(":");
    const port = portText === undefined ? 443 : readPort(portText);
    if (port === null || more.length > 0) {
      notes.add("narrower", spot, `${quoted(text)} has no port from 1 to 65535`);
      return [];
    }
    if (host!.split("*").length > 2) {
      notes.add("narrower", spot, `${quoted(text)}: harden-runner reads a name no further than its second *`);
      return [];
    }
    const known = first.get(host!) ?? port;
    if (host!.includes("*") && known !== port) {
      notes.add(
        "same",
        spot,
        `${quoted(text)}: harden-runner reads only the first port of a wildcard, which is ${known}`,
      );
      return [];
    }
    first.set(host!, port);
    return placesOf(
      host!,
      [port],
      spot,
      { product: "harden-runner", star: { crossesDots: true, mayBeEmpty: true } },
      notes,
    );
  });
}
