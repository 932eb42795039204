/** Applying and removing the ruleset is exact, and what others do to it is noticed. Needs root. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { SallyportError } from "../errors.ts";
import { run } from "./commands.ts";
import { feed, Ruleset } from "./ruleset.ts";
import { type Lab, withLab } from "./testing/lab.ts";
import { rulesetOptions as options } from "./testing/ruleset-options.ts";

/** iptables-save of both families without what changes by itself. */
function saved(lab: Lab): string {
  const text = ["iptables-save", "ip6tables-save"].map((tool) => run(tool, [], { namespace: lab.gateway }));
  return text
    .join("")
    .replaceAll(/^#.*\n/gm, "")
    .replaceAll(/\[\d+:\d+\]/g, "");
}

suite("editing the ruleset", { timeout: 120_000 }, () => {
  test("removal is exact, whatever was there before", () =>
    withLab(async (lab) => {
      const input = ["*filter", ":theirs -", "-A FORWARD -i x0 -j theirs", "-A theirs -j ACCEPT", "COMMIT", ""].join(
        "\n",
      );
      run("iptables-restore", ["--noflush"], { namespace: lab.gateway, input });
      const before = saved(lab);
      const ruleset = new Ruleset({ ...options, inside: ["in0", "in1"] });
      lab.inGateway(() => {
        assert.equal(ruleset.state(), "absent");
        ruleset.apply();
        const applied = saved(lab);
        assert.equal(ruleset.state(), "present");
        // With other options, then again with these: nothing of the others stays.
        new Ruleset({ ...options, masquerade: false, outside: null, queueCount: 4 }).apply();
        assert.equal(ruleset.state(), "altered");
        ruleset.apply();
        assert.equal(saved(lab), applied);
        ruleset.remove();
        assert.equal(ruleset.state(), "absent");
        ruleset.remove();
      });
      assert.equal(saved(lab), before);
      assert.equal(run("nft", ["list", "tables"], { namespace: lab.gateway }).trim(), "table ip filter");
    }));

  test("a look aside sees the same, in the namespace it was begun in", () =>
    withLab(async (lab) => {
      const ruleset = new Ruleset(options);
      const look = () => lab.inGateway(() => ({ looking: ruleset.look() })).looking;
      assert.equal(await look(), "absent");
      lab.inGateway(() => ruleset.apply());
      assert.equal(await look(), "present");
      lab.inGateway(() => run("iptables", ["-I", "FORWARD", "-j", "ACCEPT"]));
      assert.equal(await look(), "altered");
      assert.equal(
        lab.inGateway(() => ruleset.state()),
        "altered",
      );
      lab.inGateway(() => ruleset.remove());
      assert.equal(await look(), "absent");
    }));

  test("a rule put before ours, or taken from ours, is noticed", () =>
    withLab(async (lab) => {
      const ruleset = new Ruleset(options);
      lab.inGateway(() => {
        ruleset.apply();
        run("iptables", ["-I", "FORWARD", "-j", "ACCEPT"]);
        assert.equal(ruleset.state(), "altered");
        run("iptables", ["-D", "FORWARD", "-j", "ACCEPT"]);
        assert.equal(ruleset.state(), "present");
        run("iptables", ["-A", "FORWARD", "-j", "ACCEPT"]);
        assert.equal(ruleset.state(), "present");
        run("ip6tables", ["-t", "mangle", "-D", "SALLYPORT-SAVE", "4"]);
        assert.equal(ruleset.state(), "altered");
        assert.equal(new Ruleset(options).state(ruleset.fingerprint), "altered");
        ruleset.apply();
        assert.equal(new Ruleset(options).state(ruleset.fingerprint), "present");
      });
    }));

  test("what the kernel refuses is named", () =>
    withLab(async (lab) => {
      // REDIRECT belongs in the nat table: the tool takes it, the kernel does not.
      const lines = ["*filter", "-A FORWARD -j ACCEPT", "-A FORWARD -p tcp -j REDIRECT --to-ports 1", "COMMIT"];
      assert.throws(
        () => lab.inGateway(() => feed(4, lines)),
        (error) => error instanceof SallyportError && error.code === "RULESET" && error.data["rule"] === lines[2],
      );
      // All or nothing.
      assert.equal(saved(lab).includes("-A FORWARD"), false);
      assert.throws(
        () => new Ruleset({ ...options, inside: ["eth+"] }),
        (error) => error instanceof SallyportError && error.code === "USAGE",
      );
    }));
});
