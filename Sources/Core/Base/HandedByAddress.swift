/// A stored property of this type makes a large value be handed over by its address.
///
/// A method that only reads is otherwise given a copy of all fields when it is called in the middle
/// of a change: of a node, 13 kB for every question that it asks itself. Swift copies what it could
/// hold in registers if there were enough of them; a value that holds something of an unknown type
/// never fits any.
///
/// Methods only: the getter of a computed property, a method taken as a value, and a question to an
/// optional are given a copy all the same, and a dearer one. So what is asked in each step is a
/// method, or inlined.
package struct HandedByAddress: Sendable {
    private let anything: any Sendable = ()

    package init() {}
}
