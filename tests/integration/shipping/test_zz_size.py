from tests.integration.shipping.test_store import *
def test_sizes(aws):
    for lines in (1,2,8,16,26):
        pass
    client = make_table("shipping", queue=("queue_pk", "queue_sk"))
    store, at = ShippingStore(Table(client, "shipping")), clock()
    release(request(lines=8), store, carrier_table(), at)
    wb = packed(store).waybill
    def sz(pk,sk): return size(client.get_item(TableName="shipping",Key={"pk":{"S":pk},"sk":{"S":sk}})["Item"])
    service.dispatch(SLIP, store, at)
    print("dispatch, 8 lines", sz(f"ORDER#{ORDER}","SLIP#1"))
    for status, place, text in SIX:
        at.move(timedelta(hours=7, minutes=13, seconds=7))
        one = events.Scan(status=status, at=rfc3339(at.now()), place=place, text=text)
        service.record(ScanReported(waybill=wb, scans=[one]), "generic", store, at)
        print(status, sz(f"WAYBILL#generic#{wb}","PARCEL"))
