/**
 * Built-in destination lists, by name. Only hosts that a tool needs to work and that strangers cannot publish under
 * without being the tool's own service; each list is meant to be read before it is used (`sallyport policy presets`).
 */

/** Endpoints of each preset, all on port 443. */
export const presets: Readonly<Record<string, readonly string[]>> = {
  "github-actions": [
    "github.com",
    "api.github.com",
    "codeload.github.com",
    "objects.githubusercontent.com",
    "release-assets.githubusercontent.com",
    "actions-results-receiver-production.githubapp.com",
    "*.actions.githubusercontent.com",
    // Logs, caches and artifacts: GitHub's own numbered accounts, never the whole zone, where anybody can register one.
    "productionresultssa{0-49,100-199}.blob.core.windows.net",
  ],
  "github-packages": ["ghcr.io", "pkg-containers.githubusercontent.com"],
  python: ["pypi.org", "files.pythonhosted.org"],
  rust: ["index.crates.io", "static.crates.io", "static.rust-lang.org"],
  go: ["proxy.golang.org", "sum.golang.org", "go.dev", "dl.google.com"],
  docker: ["registry-1.docker.io", "auth.docker.io", "production.cloudflare.docker.com"],
  ruby: ["rubygems.org", "index.rubygems.org"],
  java: ["repo.maven.apache.org", "repo1.maven.org", "plugins.gradle.org", "services.gradle.org"],
  dotnet: ["api.nuget.org"],
};
