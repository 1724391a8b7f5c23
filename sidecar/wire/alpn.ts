/** ALPN name of HTTP/2 between sidecars, with delegation chains and slots (WIRE section 2). */
export const SIDECAR_ALPN = 'behalf-h2/1';
