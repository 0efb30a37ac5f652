package servers

// linkerFlags are what Go's runtime needs of the system.
var linkerFlags = []string{"-framework", "CoreFoundation", "-framework", "Security", "-lresolv"}
