// The arrows of docs/architecture.md. Each part may import itself and the parts listed; anything else is an error.
const PARTS = {
  proto: [],
  errors: ['proto'],
  identity: ['proto', 'errors'],
  delegation: ['errors', 'identity'],
  policy: ['proto', 'errors', 'identity', 'delegation'],
  state: ['proto', 'errors', 'identity', 'delegation', 'policy'],
  audit: ['proto', 'errors', 'identity', 'delegation', 'policy', 'state'],
};
const CORE = [...Object.keys(PARTS)];
for (const service of ['ca', 'authority', 'collector', 'sidecar']) PARTS[service] = CORE;
PARTS.cli = [...CORE, 'ca', 'authority', 'collector', 'sidecar', 'deploy', 'demo'];
PARTS.deploy = [...CORE];
// Run inside the apps, not the mesh: they know nothing of the project.
PARTS.propagate = [];
PARTS.demo = [];
PARTS.examples = [];
// A leaf: it measures every part, and none knows of it.
PARTS.bench = Object.keys(PARTS);

const ALL = Object.keys(PARTS);
const arrows = Object.entries(PARTS).map(([part, allowed]) => ({
  name: `arrows-${part}`,
  severity: 'error',
  comment: `${part}/ imports only ${[part, ...allowed].join(', ')}`,
  from: { path: `^${part}/` },
  to: { path: `^(${[...ALL, 'test'].filter((other) => other !== part && !allowed.includes(other)).join('|')})/` },
}));

module.exports = {
  forbidden: [
    ...arrows,
    {
      name: 'delegation-stays-bare',
      severity: 'error',
      comment: 'delegation/ is a pure library: no I/O, no X.509 library, of identity/ only IDs, WITs, bundle and clock',
      from: { path: '^delegation/', pathNot: '\\.test\\.ts$' },
      to: {
        path: '^(identity/(?!(spiffe-id|clock|jws|signed-statement|index)\\.ts|wit/|bundle/)|node_modules/|(node:)?(fs|fs/promises|net|tls|http|https|http2|dns|dgram|child_process|worker_threads|sqlite)$)',
      },
    },
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    { name: 'not-to-unresolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(^|/)(node_modules|\\.behalf|coverage)/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      extensions: ['.ts', '.js', '.json', '.node', '.cjs', '.mjs'],
      conditionNames: ['import', 'require', 'node', 'default'],
    },
  },
};
