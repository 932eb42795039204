/** Random policies of other products as text: right ones, and such with odd values everywhere. For fuzzing. */
import fc from "fast-check";
import { stringify } from "yaml";

const odd = fc.constantFrom<unknown>(null, 0, -1, "", [], {}, true, [null], "\u0007\n#", "a: b", { a: { b: [{}] } });
const mostly = (right: fc.Arbitrary<unknown>) => fc.oneof({ weight: 30, arbitrary: right }, odd);
const some = (...values: unknown[]) => mostly(fc.constantFrom(...values));

const hosts = [
  ..."a.example *.a.example **.a.example *a.example a*.b.example a.*.example * ** a.** a?.example bücher.example".split(
    " ",
  ),
  ..."203.0.113.7 203.0.113.0/24 203.0.113.7/8 2001:db8::/32 [2001:db8::1]:443 a.example:443 a.example:443;80".split(
    " ",
  ),
  ..."a.example:0 :443 https://a.example/ ${{ ${{}} a..b x-very-long-label.example a.example:80:90".split(" "),
  "${{ vars.A }}:443",
];
const host = fc.constantFrom(...hosts);
const list = mostly(fc.array(mostly(host), { maxLength: 4 }));
const words = mostly(fc.array(host, { maxLength: 5 }).chain((all) => fc.constantFrom(all.join(" "), all.join("\n"))));

const inputs = fc.record(
  {
    "allowed-endpoints": words,
    "allowed-domains": words,
    "allowed-ips": words,
    "allowed-hosts": words,
    "allowed-cidrs": words,
    "egress-policy": some("block", "audit", "${{ inputs.mode }}"),
    mode: some("enforce", "audit"),
    "disable-sudo": some(true, false),
    policy: some("x"),
  },
  { requiredKeys: ["allowed-endpoints", "allowed-domains", "allowed-hosts"] },
);
const actions = fc.constantFrom(
  "step-security/harden-runner@v2",
  "bullfrogsec/bullfrog@v0",
  "code-cargo/cargowall-action@v1",
);
const workflow = actions.chain((action) => {
  const step = fc.record({ uses: some(action, action, action, "actions/checkout@v6"), with: mostly(inputs) });
  const job = fc.record({ steps: mostly(fc.array(step, { minLength: 1, maxLength: 3 })) });
  return fc.record({
    jobs: mostly(fc.dictionary(fc.constantFrom("one", "two", "a b\u0007", "${{"), job, { minKeys: 1 })),
  });
});

const github = fc.record(
  { mode: some("enforce", "log"), allow: list, "no-default-urls": some(true) },
  { requiredKeys: ["mode"] },
);

const service = fc.record(
  {
    name: some("one", "two"),
    project: some("p"),
    action: some("open", "report", "enforce"),
    allowed_domains: list,
    mitm_domains: list,
  },
  { requiredKeys: ["name"] },
);
const acl = fc.record(
  {
    version: some("v1"),
    services: mostly(fc.array(service, { maxLength: 3 })),
    default: mostly(service),
    global_allow_list: list,
    global_deny_list: list,
  },
  { requiredKeys: ["version", "services"] },
);

const toPorts = mostly(
  fc.array(
    fc.record(
      {
        ports: mostly(
          fc.array(
            fc.record(
              {
                port: some("443", 53, "http", "0"),
                endPort: some(500, 444),
                protocol: some("TCP", "UDP", "ANY", "SCTP"),
              },
              { requiredKeys: ["port"] },
            ),
            { maxLength: 2 },
          ),
        ),
        rules: mostly(fc.constantFrom({ dns: [] }, { http: [] })),
      },
      { requiredKeys: ["ports"] },
    ),
    { maxLength: 2 },
  ),
);
const egress = mostly(
  fc.array(
    fc.record(
      {
        toFQDNs: mostly(
          fc.array(fc.record({ matchName: mostly(host), matchPattern: mostly(host) }, { requiredKeys: [] }), {
            maxLength: 3,
          }),
        ),
        toCIDR: list,
        toPorts,
        toEntities: list,
      },
      { requiredKeys: [] },
    ),
    { maxLength: 3 },
  ),
);
const cilium = fc.record({
  apiVersion: some("cilium.io/v2"),
  kind: some("CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy"),
  metadata: fc.record({ name: some("one", "two") }),
  spec: fc.record(
    { endpointSelector: some({}, { matchLabels: { a: "b" } }), egress, egressDeny: egress },
    { requiredKeys: ["egress"] },
  ),
});

const reference = some(
  "${aviatrix_smart_group.a.uuid}",
  "${aviatrix_web_group.w.uuid}",
  "def000ad-0000-0000-0000-000000000000",
  "def000ad-0000-0000-0000-000000000001",
  "def000ad-0000-0000-0000-000000000002",
  "x",
);
const smart = some("${aviatrix_smart_group.a.uuid}", "def000ad-0000-0000-0000-000000000000");
const references = mostly(fc.array(reference, { minLength: 1, maxLength: 2 }));
const expression = fc.record(
  { cidr: mostly(host), fqdn: mostly(host), snifilter: mostly(host), urlfilter: mostly(host), type: some("vm") },
  { requiredKeys: [] },
);
const prefixes = fc.array(fc.record({ cidr: some("10.0.0.0/8", "203.0.113.7/32") }), { minLength: 1, maxLength: 2 });
const group = fc.record({
  name: some("one", "two"),
  selector: fc.record({ match_expressions: mostly(fc.oneof(prefixes, fc.array(expression, { maxLength: 3 }))) }),
});
const policy = fc.record(
  {
    name: some("one", "two", "three"),
    action: some("PERMIT", "DENY", "INTRUSION_DETECTION_PERMIT"),
    priority: some(1, 2, 1e9),
    protocol: some("TCP", "UDP", "ICMP", "ANY"),
    src_smart_groups: mostly(fc.array(smart, { minLength: 1, maxLength: 2 })),
    dst_smart_groups: mostly(fc.array(fc.oneof(smart, reference), { minLength: 1, maxLength: 2 })),
    web_groups: references,
    port_ranges: mostly(
      fc.array(fc.record({ lo: some(1, 443, 80, 8080), hi: some(0, 443, 65535) }, { requiredKeys: ["lo"] }), {
        maxLength: 2,
      }),
    ),
    watch: some(true),
    flow_app_requirement: some("TLS_REQUIRED", "NOT_TLS_REQUIRED"),
  },
  { requiredKeys: ["name", "action", "src_smart_groups", "dst_smart_groups"] },
);
const aviatrix = fc.record({
  resource: fc.record({
    aviatrix_smart_group: fc.record({ a: group }),
    aviatrix_web_group: fc.record({ w: group }),
    aviatrix_dcf_ruleset: fc.record({ r: fc.record({ rules: mostly(fc.array(policy, { maxLength: 4 })) }) }),
    aviatrix_distributed_firewalling_default_action_rule: some({ this: { action: "DENY" } }),
  }),
});

const whole: fc.Arbitrary<unknown> = fc.oneof(workflow, github, acl, cilium, aviatrix);

/** Policies of every format, as YAML or JSON, alone or with a second document. */
export const foreignPolicies: fc.Arbitrary<string> = fc
  .tuple(whole, fc.oneof({ weight: 9, arbitrary: fc.constant(null) }, whole), fc.boolean())
  .map(([first, second, asJson]) => {
    const one = asJson ? JSON.stringify(first, null, 1) : stringify(first);
    return second === null ? one : `${one}\n---\n${stringify(second)}`;
  });
