/** What builds fetch and publish with: git over HTTPS and SSH, npm, pip, apt. */
import { join } from "node:path";
import type { Work } from "../case.ts";
import type { Job } from "../job.ts";
import { allowed, shell } from "./client.ts";

/** The same author and time everywhere, so that commits have the same names. */
const gitEnvironment = {
  GIT_AUTHOR_NAME: "Job",
  GIT_AUTHOR_EMAIL: "job@allowed.example",
  GIT_AUTHOR_DATE: "1700000000 +0000",
  GIT_COMMITTER_NAME: "Job",
  GIT_COMMITTER_EMAIL: "job@allowed.example",
  GIT_COMMITTER_DATE: "1700000000 +0000",
};

/** Clones, pushes a branch, and fetches a shallow copy of it; what the server has in the end. */
function git(remote: string, transport: string): string {
  return `
rm -rf ${transport} ${transport}-shallow
git clone --quiet ${remote} ${transport}
cd ${transport}
head -c 200000 /dev/zero | tr '\\0' '${transport[0]}' > large
git checkout --quiet -b ${transport} && git add large
git commit --quiet -m "Add a file" && git commit --quiet --allow-empty -m "Say more"
git push --quiet origin ${transport}
cd ..
git clone --quiet --depth 1 --branch ${transport} ${remote} ${transport}-shallow
git -C ${transport}-shallow rev-list --count HEAD
git ls-remote ${remote} refs/heads/main refs/heads/${transport}
sha256sum < ${transport}-shallow/large`;
}

/** apt with every folder of its own, so that the host's is left alone. */
async function apt(job: Job, scheme: "http" | "https"): Promise<string> {
  const root = join(job.machine.home, `apt-${scheme}-${job.v}`);
  const configuration = [
    `Dir "${root}"; Dir::State "${root}"; Dir::State::status "${root}/status"; Dir::Cache "${root}/cache";`,
    `Dir::Etc "${root}/etc"; APT::Sandbox::User "root"; APT::Architecture "amd64"; Acquire::Languages "none";`,
    `Acquire::https::CaInfo "${job.lab.caFile}"; Acquire::ForceIPv${job.v} "true"; Acquire::Retries "0";`,
  ].join("\n");
  const script = `
mkdir -p ${root}/lists/partial ${root}/cache/archives/partial ${root}/etc/apt.conf.d ${root}/etc/preferences.d
cd ${root} && mkdir -p etc/trusted.gpg.d && : > status
printf '%s\\n' '${configuration}' > apt.conf
echo 'deb [trusted=yes] ${scheme}://apt.example/debian stable main' > etc/sources.list
export APT_CONFIG=${root}/apt.conf
apt-get -qq update
apt-cache policy lab-greeting | grep Candidate
apt-get -qq download lab-greeting
sha256sum *.deb && dpkg-deb --fsys-tarfile *.deb | sha256sum`;
  return shell(job, script);
}

async function pip(job: Job): Promise<string> {
  const index = `https://v${job.v}.pypi.example/simple/`;
  const script = `
/usr/bin/python3 -m pip download --quiet --dest wheels${job.v} --index-url ${index} lab-greeting 2>&1
/usr/bin/python3 -m pip install --quiet --root-user-action=ignore --target site${job.v} --index-url ${index} lab-greeting 2>&1
PYTHONPATH=site${job.v} /usr/bin/python3 -c 'import lab_greeting; print(lab_greeting.hello())'
cd wheels${job.v} && sha256sum *`;
  const env = { PIP_CONFIG_FILE: "/dev/null", PIP_CERT: job.lab.caFile, PIP_DISABLE_PIP_VERSION_CHECK: "1" };
  return shell(job, script, { env: { ...env, PIP_NO_CACHE_DIR: "1" } });
}

async function npm(job: Job): Promise<string> {
  const script = `
mkdir -p npm${job.v} && cd npm${job.v}
echo '{"name":"job","version":"1.0.0","private":true,"dependencies":{"lab-greeting":"^1.0.0"}}' > package.json
npm install --package-lock-only --silent --no-audit --no-fund
npm ci --silent --no-audit --no-fund
${process.execPath} -p 'require("lab-greeting")()'
grep integrity package-lock.json`;
  const order = job.v === 4 ? "ipv4first" : "ipv6first";
  const env = {
    npm_config_registry: "https://registry.npm.example/",
    npm_config_cache: join(job.machine.home, `npm-cache${job.v}`),
    NODE_OPTIONS: `--dns-result-order=${order}`,
  };
  return shell(job, script, { env });
}

export const packageCases: Work[] = [
  {
    kind: "work",
    row: "works",
    variant: "git over HTTPS: clone, push, shallow clone",
    run: (job) => {
      // One family by the client's own choice: git has no option for a whole sequence of commands.
      const script = git("https://git.example/repo.git", `https${job.v}`);
      return shell(job, script.replaceAll(/git (clone|push) /g, `git $1 -${job.v} `), { env: gitEnvironment });
    },
    allowance: allowed("source", 51, { name: "git.example", port: 443 }),
  },
  {
    kind: "work",
    row: "works",
    variant: "git over SSH: clone, push, shallow clone",
    run: async (job) => {
      const { keyFile, knownHostsFile } = await job.lab.internet.call("git-shell.keys", null);
      const options = [
        ...["-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=yes", "-o", "GlobalKnownHostsFile=/dev/null"],
        ...["-o", `UserKnownHostsFile=${knownHostsFile}`],
      ];
      const ssh = ["ssh", `-${job.v}`, "-F", "none", "-i", keyFile, ...options].join(" ");
      const script = git("ssh://git@git-ssh.example/repo.git", `ssh${job.v}`);
      return shell(job, script, { env: { ...gitEnvironment, GIT_SSH_COMMAND: ssh } });
    },
    allowance: allowed("shell", 56, { name: "git-ssh.example", port: 22, protocol: "ssh" }),
  },
  {
    kind: "work",
    row: "works",
    variant: "npm ci from a lockfile",
    run: npm,
    allowance: allowed("packages", 50, { name: "registry.npm.example", port: 443 }),
  },
  {
    kind: "work",
    row: "works",
    variant: "pip download and install",
    run: pip,
    allowance: (job) => allowed("packages", 52, { name: `v${job.v}.pypi.example`, port: 443 })(job),
  },
  {
    kind: "work",
    row: "works",
    variant: "apt over HTTPS",
    run: (job) => apt(job, "https"),
    allowance: allowed("packages", 55, { name: "apt.example", port: 443 }),
  },
  {
    kind: "work",
    row: "works",
    variant: "apt over HTTP",
    run: (job) => apt(job, "http"),
    allowance: allowed("plain web", 55, { name: "apt.example", port: 80 }),
  },
];
