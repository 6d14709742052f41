/// What `dkron version` prints and nodes tell of themselves.
let productVersion = "5.0.0-dev"

/// Prints name, version and protocol in the four lines that Dkron prints since 3.0.
func runVersionCommand(_ arguments: [String]) -> Int32 {
    let help = "Usage: dkron version\n\nPrints the version."
    if let status = refuseArguments(arguments, of: "version", help: help) { return status }
    printOut(
        """
        Name: Dkron
        Version: \(productVersion)
        Codename: swift
        Agent Protocol: 5 (Understands back to: 2)
        """)
    return 0
}
