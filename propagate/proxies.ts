/**
 * Whether a proxy named in the environment takes a call before the sidecar does. The handle would be shown to that proxy, so that
 * such a call goes out as the app made it. Where the rules of libraries differ a proxy counts as in use.
 */

type Environment = Readonly<Record<string, string | undefined>>;

const NODE_PROXIES = ['http_proxy', 'HTTP_PROXY', 'https_proxy', 'HTTPS_PROXY'];
/** grpc-js always heeds these, Node only where it is told to. */
const GRPC_PROXIES = ['grpc_proxy', 'https_proxy', 'http_proxy'];

/** Of Node's own `fetch`, `http` and `https`. */
export function nodeUsesProxy(host: string, env: Environment = process.env, flags = process.execArgv): boolean {
  const isOn = env['NODE_USE_ENV_PROXY'] === '1' || `${flags} ${env['NODE_OPTIONS']}`.includes('--use-env-proxy');
  return isOn && isNamed(env, NODE_PROXIES) && !isExempt(host, env['no_proxy'] ?? env['NO_PROXY']);
}

/** Of `@grpc/grpc-js`. */
export function grpcUsesProxy(host: string, env: Environment = process.env): boolean {
  return isNamed(env, GRPC_PROXIES) && !isExempt(host, env['no_grpc_proxy'] ?? env['no_proxy']);
}

function isNamed(env: Environment, names: readonly string[]): boolean {
  return names.some((name) => (env[name] ?? '') !== '');
}

/** Only by its own name or all: subnets and suffixes are read differently. */
function isExempt(host: string, list = ''): boolean {
  const names = list.split(',').map((name) => name.trim());
  return names.includes('*') || names.includes(host);
}
