// swift-tools-version: 6.1
import PackageDescription

/// Every Swift target is compiled alike: language mode 6 and the checks that keep imports and
/// existentials visible.
let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

let package = Package(
    name: "dkron",
    products: [
        .executable(name: "dkron", targets: ["dkron"]),
        Product.library(name: "DkronPlugin", targets: ["DkronPlugin"]),
    ],
    targets: [
        .target(name: "Core", swiftSettings: settings),
        .target(name: "CSystem", path: "Sources/Adapters/CSystem"),
        .target(
            name: "Adapters", dependencies: ["Core", "CSystem"], exclude: ["CSystem"],
            swiftSettings: settings),
        .target(
            name: "DkronPlugin", dependencies: ["Core", "Adapters"], swiftSettings: settings),
        .executableTarget(
            name: "dkron", dependencies: ["Core", "Adapters"], swiftSettings: settings),
        .executableTarget(name: "Simulator", dependencies: ["Core"], swiftSettings: settings),
        .executableTarget(
            name: "Benchmarks", dependencies: ["Core", "CSystem"], path: "Tests/Benchmarks",
            swiftSettings: settings),
        .testTarget(
            name: "CoreTests", dependencies: ["Core"], exclude: ["Tables"],
            swiftSettings: settings),
        .testTarget(
            name: "AdaptersTests", dependencies: ["Adapters", "Core"], swiftSettings: settings),
        .testTarget(
            name: "ContractTests", dependencies: ["Adapters", "Simulator", "Core"],
            swiftSettings: settings),
        .testTarget(
            name: "CommandTests", dependencies: ["dkron", "Adapters", "Core"],
            swiftSettings: settings),
        .testTarget(
            name: "EndToEndTests", dependencies: ["dkron", "DkronPlugin", "Core"],
            exclude: ["Tables", "Plugins"],
            swiftSettings: settings),
        .testTarget(
            name: "SimTests", dependencies: ["Simulator", "Core"], path: "SimTests",
            exclude: ["Regressions", "Mutants", "coverage.md"], swiftSettings: settings),
    ]
)
