// Package faultstore makes stores fail on demand, for tests.
//
// To give every call its turn to fail:
//
//	for n := int64(0); ; n++ {
//		fault := faultstore.FailNth(n)
//		tracker, err := index.Open(ctx, fault.Wrap(store), index.Options{})
//		if err != nil && !errors.Is(err, faultstore.ErrInjected) {
//			t.Fatalf("call %d: the injected fault was lost: %v", n, err)
//		}
//		if !fault.Fired() {
//			return
//		}
//	}
//
// FailNth refuses the call before anything happens. [Fault.As] chooses another [Mode], [Fault.On] the operations that
// count:
//
//	fault := faultstore.FailNth(3).As(faultstore.LoseReply).On("put")
//
// For anything else, write a [Plan]: a function that is asked before every call what shall become of it.
//
//	store = faultstore.Wrap(store, func(ctx context.Context, c faultstore.Call) faultstore.Action {
//		if c.Op == "put" && strings.HasSuffix(c.Key, "lock.json") {
//			return faultstore.Action{Mode: faultstore.IgnoreConditions}
//		}
//		return faultstore.Action{Delay: 25 * time.Millisecond}
//	})
//
// A plan may block, to hold a call half way while a test does something else. [ListLate] is a store whose listings
// lag behind.
package faultstore
