/**
 * CargoWall: inputs `allowed-hosts`, `allowed-cidrs` and `mode` of a workflow's steps.
 *
 * Where an input is left out, the environment's `CARGOWALL_ALLOWED_HOSTS` and `CARGOWALL_ALLOWED_CIDRS` are read, which are
 * alike; it also has lists of what is blocked.
 *
 * Entries are parted by line breaks and commas, with ports as `host:443;80`, every port where none is written. A plain host takes in every name below it;
 * `*` is one whole label, `**` one or more, anywhere in the name (code-cargo/cargowall, pkg/config/pattern.go).
 */
import type { Context } from "./context.ts";
import { importSteps, rootStays, unlessFalse } from "./actions.ts";
import { placesOf, readPort } from "./draft.ts";
import type { Place, PortSet } from "./draft.ts";
import { piecesOf, textOf } from "./field.ts";
import { quoted } from "./note.ts";
import type { Spot } from "./note.ts";
import { inputOf } from "./workflow.ts";
import type { Step } from "./workflow.ts";

const spelling = { product: "CargoWall", star: { crossesDots: false, mayBeEmpty: false } };

/** Fills the draft from the steps of a workflow that use CargoWall. */
export function importCargowall(context: Context): void {
  importSteps(context, {
    action: "code-cargo/cargowall-action",
    product: "CargoWall",
    mode: { input: "mode", enforce: "enforce", monitor: "audit", usual: "enforce" },
    udp: true,
    places: (step, context) => [
      ...blocked(step, context),
      ...list(step, "allowed-hosts", null, context),
      ...list(step, "allowed-cidrs", null, context),
      ...list(step, "github-service-hosts", [443], context),
      ...list(step, "azure-infra-hosts", [443], context),
    ],
    lists: ["allowed-hosts", "allowed-cidrs", "github-service-hosts", "azure-infra-hosts"],
    quiet: [
      "fail-on-unsupported sudo-allow-commands allow-existing-connections binary-path debug audit-summary github-token",
      "api-url api-audience offline job-id version include-prerelease skip-actions-api search-domains",
    ].flatMap((names) => names.split(" ")),
    others: {
      "config-file": { effect: "narrower", message: "what is in that file is not read", matters: () => true },
      "sudo-lockdown": { effect: "other", message: rootStays, matters: unlessFalse },
      "dns-upstream": { effect: "other", message: "say --dns where the policy is enforced", matters: () => true },
    },
    about: [
      ...(context.options.web
        ? [
            "CargoWall opens every port of a host without ports; --web took 443 (TLS that names the host) and 80 (HTTP) of them.",
          ]
        : [
            "CargoWall opens every port of a host without ports, so the rules do: opaque, known by DNS alone. Import with --web for 443 and 80 by name.",
          ]),
      "A policy that is kept at CodeCargo and not in the workflow is not read.",
      "Left out on purpose: trafficmanager.net and blob.core.windows.net with all names below them, which CargoWall opens when azure-infra-hosts is left out; strangers can register names there.",
    ],
  });
}

/** The action joins lines by commas, and the program parts them there. */
const parts = /[^\n,]+/g;

type Input = "allowed-hosts" | "allowed-cidrs" | "github-service-hosts" | "azure-infra-hosts";

/** What is blocked there stays so by being on no list, unless a wider entry takes it in: that is lost. */
function blocked({ env }: Step, { notes }: Context): [] {
  for (const name of ["CARGOWALL_BLOCKED_HOSTS", "CARGOWALL_BLOCKED_CIDRS"]) {
    const entry = env.get(name);
    if (entry !== undefined && (textOf(entry.value) ?? "").trim() !== "")
      notes.add("wider", entry, `${name}: what it blocks is not carried; write deny rules before the allow rules`);
  }
  return [];
}

function list(step: Step, input: Input, fixed: PortSet | null, { lines, notes, options }: Context): Place[] {
  const variable = `CARGOWALL_${input.toUpperCase().replaceAll("-", "_")}`;
  const isGiven = inputOf(step, input) !== null;
  const field = (isGiven ? step.inputs.get(input) : step.env.get(variable))?.value;
  if (field === undefined) return [];
  return piecesOf(field, lines, parts).flatMap(({ text, line, column }) => {
    const spot = { line, column };
    const { host, ports } = split(text, input === "allowed-cidrs");
    if (ports === null) {
      notes.add("narrower", spot, `${quoted(text)} has no ports from 1 to 65535`);
      return [];
    }
    const usual = options.web && input !== "allowed-cidrs" ? [443, 80] : "any";
    return names(host, fixed ?? (ports === "any" ? usual : ports), spot);
  });

  function names(host: string, ports: PortSet, spot: Spot): Place[] {
    if (!host.includes("*")) {
      const own = placesOf(host, ports, spot, spelling, notes);
      if (own[0]?.kind !== "name") return own;
      const below = { ...own[0], text: `**.${own[0].text}` };
      notes.add(
        "same",
        spot,
        `${quoted(host)} in CargoWall takes in every name below it, so it became ${host} and ${below.text}`,
      );
      return [...own, below];
    }
    // A leading ** is ours; behind it the rest is read label by label.
    const deep = host.startsWith("**.");
    const rest = deep ? host.slice(3) : host;
    if (rest.includes("**") || rest.split(".").some((label) => label.includes("*") && label !== "*")) {
      const why = rest.includes("**")
        ? "** stands elsewhere than at the start"
        : "CargoWall itself refuses a star within a label";
      notes.add("narrower", spot, `${quoted(host)}: ${why}`);
      return [];
    }
    const places = placesOf(rest, ports, spot, spelling, notes);
    return deep ? places.map((place) => ({ ...place, text: `**.${place.text}` })) : places;
  }
}

/** `host:443;80`; a prefix in IPv6 has colons of its own and is in brackets when it has ports. */
function split(text: string, isCidr: boolean): { host: string; ports: PortSet | null } {
  const match = /^(\[[^\]]*\]|[^:]*):([0-9;]*)$/.exec(text);
  if (match === null || (isCidr && text.includes("::") && !text.startsWith("["))) return { host: text, ports: "any" };
  const ports = match[2]!.split(";").map(readPort);
  return { host: match[1]!, ports: ports.includes(null) ? null : (ports as number[]) };
}
