// Package world is where the examples are tested: a real MinIO with a bucket, a real Litestream that writes a database into it, and the
// examples themselves as processes of their own, to be stopped and killed.
//
//	func TestMain(m *testing.M) { world.Main(m, main) }
//
//	func TestPosts(t *testing.T) {
//		w := world.New(t)                                  // MinIO and a bucket; credentials are in the environment
//		source := w.Litestream(t, "app")                   // a database that Litestream replicates to w.URL("app")
//		source.Exec(t, "CREATE TABLE posts(title)")
//		source.Sync(t)                                     // all of it is in the bucket
//		service := w.Start(t, "-replica", w.URL("app"))    // this example's main, in a process
//		answer := service.Get(t, "/posts")
//		service.Stop(t)                                    // by SIGTERM; it must end well
//	}
package world
