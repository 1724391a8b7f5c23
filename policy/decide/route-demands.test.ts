/** What callers have to know of a route before they make a link. */
import { expect, test } from 'vitest';
import { parseSpiffeId } from '../../identity/index.ts';
import { buildSnapshot } from '../build/build-snapshot.ts';
import { SHOP_FILES, SHOP_SOURCE } from '../testing/shop.ts';
import { compileSnapshot } from './compile.ts';
import { demandsOfCall, NO_DEMANDS } from './route-demands.ts';

const payments = parseSpiffeId('spiffe://shop.example/payments');
const orders = parseSpiffeId('spiffe://shop.example/orders');

function compiledWith(bind: string) {
  const proto = SHOP_FILES['payments.proto']!.replace(
    '{ option',
    `{ option (behalf.options.v1.bind) = "${bind}"; option`,
  );
  return compileSnapshot(buildSnapshot({ ...SHOP_SOURCE, files: { ...SHOP_FILES, 'payments.proto': proto } }));
}

test('a route that binds to route or pod says so under its name', () => {
  const charge = '/shop.v1.Payments/Charge';
  const rte = `POST ${charge}`;
  expect(demandsOfCall(compiledWith('route'), payments, 'POST', charge)).toEqual({ rte, once: false, fresh: false });
  expect(demandsOfCall(compiledWith('pod'), payments, 'POST', charge)).toEqual({ rte, once: true, fresh: false });
  expect(demandsOfCall(compiledWith('none'), payments, 'POST', charge)).toEqual(NO_DEMANDS);
});

test('a fresh route demands a fresh root alone, its neighbours and unknown routes nothing', () => {
  const compiled = compiledWith('none');
  expect(demandsOfCall(compiled, orders, 'POST', '/v1/orders')).toEqual({ rte: null, once: false, fresh: true });
  expect(demandsOfCall(compiled, orders, 'GET', '/v1/orders')).toEqual(NO_DEMANDS);
  expect(demandsOfCall(compiled, orders, 'GET', '/elsewhere')).toEqual(NO_DEMANDS);
  expect(compiled.demanding).toEqual(new Set([orders]));
});
