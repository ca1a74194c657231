// Sends each kind of call with Segment's own library for Node: node deliver.cjs HOST WRITE_KEY
const { Analytics } = require('@segment/analytics-node');

const [host, writeKey] = process.argv.slice(2);
const analytics = new Analytics({ host, writeKey, flushAt: 15, httpRequestTimeout: 10000 });
analytics.on('error', (error) => {
  console.error(error);
  process.exitCode = 1;
});

const context = { page: { path: '/pricing' } };
analytics.identify({ userId: 'node-user', anonymousId: 'node-device', traits: { email: 'Node-User@Example.com', plan: 'gold' } });
analytics.track({ userId: 'node-user', event: 'Order Completed', properties: { total: 19.99 }, context });
analytics.track({ anonymousId: 'node-device', event: 'Order Completed', properties: { total: 5 } });
analytics.page({ userId: 'node-user', name: 'Pricing', properties: { path: '/pricing' } });
analytics.screen({ userId: 'node-user', name: 'Cart' });
analytics.group({ userId: 'node-user', groupId: 'g1', traits: { name: 'Analysts' } });
analytics.alias({ userId: 'node-user', previousId: 'node-old' });
for (let number = 0; number < 100; number++) {
  analytics.track({ userId: 'node-user', event: 'Counted', timestamp: new Date() });
}
analytics.closeAndFlush({ timeout: 20000 }).then(() => console.log('delivered'));
