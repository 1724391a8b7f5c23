/**
 * What is in stock. It may ask payments for its terms, to print prices, and nothing else; for the story it has an endpoint
 * that goes wrong and asks for money.
 *
 *     PORT=3003 PAYMENTS_ADDRESS=127.0.0.1:9301 node demo/inventory/inventory.ts
 */
import grpc from '@grpc/grpc-js';
import { needed, type Request, serve, text } from '../http/router.ts';
import { connectPayments, httpErrorOf } from '../payments/payments-client.ts';

const PAYMENTS_ADDRESS = needed('PAYMENTS_ADDRESS');
const IN_STOCK: Readonly<Record<string, number>> = { lamp: 12, chair: 3, table: 0 };

/** Payments on behalf of the request at hand. */
function paymentsFor({ raw }: Request, address = PAYMENTS_ADDRESS) {
  return connectPayments(address, () => {
    const metadata = new grpc.Metadata();
    const context = raw.headers['delegation-context'];
    if (typeof context === 'string') metadata.set('delegation-context', context);
    return metadata;
  });
}

serve('inventory', Number(needed('PORT')), {
  'GET /stock/{sku}': async (request) => {
    const payments = paymentsFor(request);
    const { currencies } = await payments.terms({}).catch(httpErrorOf).finally(payments.close);
    const sku = request.params['sku'] ?? '';
    return { status: 200, body: { sku, inStock: Object.hasOwn(IN_STOCK, sku) ? IN_STOCK[sku] : 0, currencies } };
  },

  // `address` lets it try another local port than its own, such as that of orders' sidecar.
  'POST /attacks/charge': async (request) => {
    const address = request.body['address'] === undefined ? PAYMENTS_ADDRESS : text(request.body, 'address');
    const payments = paymentsFor(request, address);
    const charge = {
      orderId: text(request.body, 'orderId'),
      owner: String(request.raw.headers['delegation-subject']),
      amount: 1,
    };
    return { status: 200, body: await payments.charge(charge).catch(httpErrorOf).finally(payments.close) };
  },
});
