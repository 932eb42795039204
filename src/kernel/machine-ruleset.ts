/**
 * Puts the ruleset of a machine (`rules-machine.ts`) and its hooks (`machine-hooks.ts`) into the kernel as one thing, with the promises of
 * `ruleset.ts`. Acts on the network namespace of the calling thread. Called by the enforcer.
 *
 * On the way in nothing is opened and nothing is cut off: first the chains that tell devices apart, then the rules, then the
 * guards at the end, which want marks that the rules set. On the way out it is the other way round.
 */
import { createHash } from "node:crypto";
import { leavingDevices } from "./devices.ts";
import {
  applyHooks,
  type HookOptions,
  hooksFingerprint,
  newSecret,
  removeHooks,
  type Uplink,
} from "./machine-hooks.ts";
import { checkMachineOptions, type MachineRulesOptions, machineRulesFor } from "./rules-machine.ts";
import { checkInterfaceNames } from "./rule-parts.ts";
import { enforcerOwner, type Reading, Ruleset, type RulesetState, textOf } from "./ruleset.ts";

export interface MachineRulesetOptions extends MachineRulesOptions {
  /** Devices that leave the machine whatever their kind: those of its routes. */
  uplinks: readonly string[];
}

export class MachineRuleset {
  readonly #rules: Ruleset;
  readonly #options: MachineRulesetOptions;
  #secret = newSecret();
  #guarded: Uplink[] = [];
  #dropUnmarked: boolean;
  #hooks: string | null = null;
  #egress = false;

  /** `dropUnmarked`: see {@link setDropUnmarked}. Throws SallyportError USAGE. */
  constructor(options: MachineRulesetOptions, dropUnmarked = true) {
    checkMachineOptions(options);
    checkInterfaceNames(options.uplinks);
    this.#options = options;
    this.#dropUnmarked = dropUnmarked;
    this.#rules = new Ruleset({ ...enforcerOwner, rules: (family) => machineRulesFor(family, options) });
  }

  /** Whether this kernel has egress chains: else packet sockets are not bounded. Known after {@link apply}. */
  get guardsEgress(): boolean {
    return this.#egress;
  }

  /** The devices with an egress chain. */
  get guarded(): readonly string[] {
    return this.#guarded.map(({ name }) => name);
  }

  /**
   * What {@link apply} found in the kernel afterwards, as a hash: for {@link state} in another process. Not the text, which
   * has the secret in it. Null before.
   */
  get fingerprint(): string | null {
    const rules = this.#rules.fingerprint;
    return rules === null || this.#hooks === null ? null : hashOf(rules, this.#hooks);
  }

  /**
   * Makes the kernel's rules and chains ours, also again after somebody changed them: with a new secret, since whoever did may
   * have read the old one. Throws SallyportError RULESET, MISSING_TOOL, KernelError. */
  apply(): void {
    const found = this.#rules.read();
    const wasAbsent = this.#begin(found);
    try {
      if (wasAbsent) applyHooks(this.#hookOptions(), false);
      this.#rules.apply(found);
      this.#applyHooks();
    } catch (error) {
      if (wasAbsent) this.remove();
      throw error;
    }
  }

  /** The same while the event loop goes on; `found` is a reading made a moment ago. */
  async applyAside(found: Reading): Promise<void> {
    const wasAbsent = this.#begin(found);
    try {
      if (wasAbsent) applyHooks(this.#hookOptions(), false);
      await this.#rules.applyAside(found);
      this.#applyHooks();
    } catch (error) {
      if (wasAbsent) this.remove();
      throw error;
    }
  }

  /** Whether nothing of ours is there. */
  #begin(found: Reading): boolean {
    const wasAbsent = textOf(found) === "" && hooksFingerprint() === "";
    if (this.#hooks !== null) this.#secret = newSecret();
    this.#guarded = leavingDevices(this.#options.uplinks);
    return wasAbsent;
  }

  /**
   * Gives devices that came since an egress chain, and forgets those that are gone; true where something changed. Call it about
   * once a second: until then what a new device sends is decided, and only its packet sockets are not bounded.
   */
  reconcile(): boolean {
    const now = leavingDevices(this.#options.uplinks);
    if (JSON.stringify(now) === JSON.stringify(this.#guarded)) return false;
    this.#guarded = now;
    this.#applyHooks();
    return true;
  }

  /** Whether what packet sockets send past the rules is dropped (a policy that enforces) or only counted (one that watches). */
  setDropUnmarked(drop: boolean): void {
    if (drop === this.#dropUnmarked) return;
    this.#dropUnmarked = drop;
    if (this.#hooks !== null) this.#applyHooks();
  }

  /** See {@link RulesetState}. Without an earlier {@link apply} in this process, give its `fingerprint`. */
  state(expected: string | null = this.fingerprint): RulesetState {
    return this.#compare(textOf(this.#rules.read()), hooksFingerprint(), expected);
  }

  #compare(rules: string, hooks: string, expected: string | null): RulesetState {
    if (hooks === "" && rules === "") return "absent";
    return hashOf(rules, hooks) === expected ? "present" : "altered";
  }

  /** The same while the event loop goes on. */
  async look(): Promise<RulesetState> {
    return (await this.survey()).state;
  }

  /** The same with the reading it is from, for {@link applyAside}. */
  async survey(): Promise<{ state: RulesetState; found: Reading }> {
    // Before the first wait: in the namespace that the caller is in now.
    const hooks = hooksFingerprint();
    const found = await this.#rules.readAside();
    return { state: this.#compare(textOf(found), hooks, this.fingerprint), found };
  }

  /** Takes out everything of ours. Does nothing where there is nothing. */
  remove(): void {
    if (this.#hooks !== null) applyHooks(this.#hookOptions(), false);
    this.#rules.remove();
    removeHooks();
    this.#hooks = null;
  }

  present(): boolean {
    return this.state() === "present";
  }

  #applyHooks(): void {
    this.#egress = applyHooks(this.#hookOptions(), true).egress;
    this.#hooks = hooksFingerprint();
  }

  #hookOptions(): HookOptions {
    const { uplinks } = this.#options;
    return { uplinks, guarded: this.#guarded, dropUnmarked: this.#dropUnmarked, secret: this.#secret };
  }
}

function hashOf(rules: string, hooks: string): string {
  return createHash("sha256").update(rules).update("\0").update(hooks).digest("hex");
}
