/**
 * The action's inputs. What is unknown, misspelt or contradicts another input is refused with the line to write instead: a
 * firewall must not guess. Inputs of harden-runner that have no meaning here are taken and said, so that a workflow moves over
 * by changing one line.
 */
import { SallyportError } from "../errors.ts";
import { nearest } from "../policy/problem.ts";
import type { Mode } from "../policy/decision.ts";

/** What a finding of each kind does to the job's result, besides what always fails it (`docs/action.md`). */
export type FailOn = "denied" | "detection";

export interface Inputs {
  enabled: boolean;
  mode: Mode;
  /** White-space separated, in harden-runner's syntax. */
  allowedEndpoints: string;
  /** Path in the repository; null: the usual one, where it exists. */
  policy: string | null;
  token: string;
  /** What of root the job keeps. */
  root: "kept" | "no-sudo" | "no-sudo-no-containers";
  failOn: ReadonlySet<FailOn>;
  selfTest: boolean;
  summary: "always" | "findings" | "never";
  fileMonitoring: boolean;
  /** File of a private key that root alone may read, on a runner of one's own; null: nothing is signed. */
  signKey: string | null;
  /** What was taken without effect, in words. */
  notices: string[];
}

/** Where the policy is looked for when no input says. */
export const usualPolicy = ".github/sallyport.yaml";

/** Every input, as `action.yml` has them. */
export const inputNames = [
  "egress-policy",
  "allowed-endpoints",
  "policy",
  "token",
  "disable-sudo",
  "disable-sudo-and-containers",
  "disable-file-monitoring",
  "enabled",
  "fail-on",
  "self-test",
  "summary",
  "sign-key",
] as const;

type Name = (typeof inputNames)[number];

/** Inputs of harden-runner without a counterpart, and what to make of them. */
export const foreignInputs: Readonly<Record<string, string>> = {
  "disable-telemetry": "there is no telemetry to switch off",
  "api-key": "there is no service to ask",
  "deploy-on-self-hosted-vm": "nothing is installed for good",
};

/** Reads the inputs from the environment the runner gives. Throws ACTION_INPUT with all that is wrong. */
export function readInputs(env: NodeJS.ProcessEnv): Inputs {
  const wrong: string[] = [];
  const notices: string[] = [];
  const given = new Map<string, string>();
  for (const [key, value] of Object.entries(env)) {
    if (key.startsWith("INPUT_") && value !== undefined) given.set(key.slice(6).toLowerCase(), value.trim());
  }
  const text = (name: Name) => given.get(name) ?? "";
  const choice = <T extends string>(name: Name, values: readonly T[], usual: T): T => {
    const value = text(name).toLowerCase();
    if (value === "") return usual;
    if ((values as readonly string[]).includes(value)) return value as T;
    wrong.push(`${name} is “${value}”: write ${values.join(" or ")} (without it: ${usual}).`);
    return usual;
  };
  const flag = (name: Name, usual: boolean) => choice(name, ["true", "false"], usual ? "true" : "false") === "true";

  for (const [name, value] of given) {
    if ((inputNames as readonly string[]).includes(name) || value === "") continue;
    if (Object.hasOwn(foreignInputs, name)) notices.push(`${name} has no effect here: ${foreignInputs[name]}.`);
    else if (name === "use-policy-store") {
      if (value.toLowerCase() !== "false") wrong.push(storeText("use-policy-store"));
    } else {
      const near = nearest(name, inputNames);
      wrong.push(
        `there is no input “${name}”${near === null ? `; the inputs are ${inputNames.join(", ")}` : `: did you mean ${near}?`}.`,
      );
    }
  }

  const mode = choice("egress-policy", ["audit", "block"], "block") === "block" ? "enforce" : "monitor";
  const failOn = new Set<FailOn>();
  for (const word of text("fail-on")
    .toLowerCase()
    .split(/[\s,]+/)
    .filter((each) => each !== "")) {
    if (word === "denied" || word === "detection") failOn.add(word);
    else if (word !== "never") {
      wrong.push(
        `fail-on has “${word}”: write denied, detection, both of them, or never. Tampering and lost enforcement always fail the job.`,
      );
    }
  }
  if (mode === "monitor" && failOn.has("denied")) {
    wrong.push(
      "fail-on: denied contradicts egress-policy: audit, which denies nothing. Write egress-policy: block, or leave denied out.",
    );
  }
  const policy = text("policy");
  // In harden-runner this is the name of a list in a store.
  if (policy !== "" && !/\.ya?ml$/i.test(policy)) wrong.push(storeText(`policy: ${policy}`));
  else if (/^\/|(^|\/)\.\.(\/|$)/.test(policy)) {
    wrong.push(`policy is “${policy}”: write a path inside of the repository, such as ${usualPolicy}.`);
  }
  const signKey = text("sign-key");
  // Never the key itself: what is in the workflow's secrets, a step with sudo can read from the worker's memory.
  if (signKey.includes("PRIVATE KEY") || (signKey !== "" && !signKey.startsWith("/"))) {
    wrong.push(
      "sign-key is no path: write the path of a file on the runner that root alone may read (sallyport logs keygen makes one).",
    );
  }
  const noContainers = flag("disable-sudo-and-containers", false);
  const noSudo = flag("disable-sudo", false);
  const inputs: Inputs = {
    enabled: flag("enabled", true),
    mode,
    allowedEndpoints: text("allowed-endpoints"),
    policy: policy === "" ? null : policy.replace(/^(\.\/)+/, ""),
    token: text("token"),
    root: noContainers ? "no-sudo-no-containers" : noSudo ? "no-sudo" : "kept",
    failOn,
    selfTest: flag("self-test", true),
    summary: choice("summary", ["always", "findings", "never"], "always"),
    fileMonitoring: !flag("disable-file-monitoring", false),
    signKey: signKey === "" ? null : signKey,
    notices,
  };
  if (wrong.length > 0) {
    throw new SallyportError("ACTION_INPUT", `The inputs of the action cannot be used.\n${wrong.join("\n")}`, {
      wrong,
    });
  }
  return inputs;
}

function storeText(what: string): string {
  return `${what} names a list kept by StepSecurity: write the list into ${usualPolicy} (sallyport policy import harden-runner), or into allowed-endpoints.`;
}
